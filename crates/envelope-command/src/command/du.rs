//! `envelope du`: shows how many bytes objects take.

use std::{collections::BTreeMap, fmt};

use futures_util::TryStreamExt as _;
use indicatif::HumanBytes;
use serde_json::json;

use crate::{
    args::Du,
    failure::{Failure, one_line},
    many,
    output::{print_json, print_line},
    store::{folder, runtime},
};

/// A number of objects, and of the bytes that are stored of them.
#[derive(Clone, Copy, Default)]
struct Total {
    objects: u64,
    bytes: u64,
}

impl Total {
    const fn add(&mut self, bytes: u64) {
        self.objects = self.objects.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

pub(crate) fn run(args: &Du) -> Result<(), Failure> {
    let from = folder(&args.from);
    let store = args.bucket.store(&from.location)?;
    let mut objects = many::objects(store, &from, args.patterns.filter()?);
    let (mut all, mut folders) = (Total::default(), BTreeMap::<String, Total>::new());
    let runtime = runtime()?;
    while let Some(item) = runtime
        .block_on(objects.try_next())
        .map_err(|error| Failure::from(error).about(&args.from))?
    {
        all.add(item.len);
        let path = item.key.get(from.key.len()..).unwrap_or_default();
        if let Some((name, _)) = path.split_once('/') {
            folders.entry(format!("{}{name}/", from.key)).or_default().add(item.len);
        }
    }
    if all.objects == 0 {
        return Err(many::no_objects(&from));
    }
    for (key, total) in folders.iter().map(|(key, total)| (key.as_str(), total)) {
        print(args, key, *total)?;
    }
    print(args, "", all)
}

/// Prints the total of a folder; without a key, it is that of all objects.
fn print(args: &Du, key: &str, total: Total) -> Result<(), Failure> {
    let Total { objects, bytes } = total;
    if args.json {
        return print_json(&json!({ "folder": key, "objects": objects, "bytes": bytes }));
    }
    let human = HumanBytes(bytes);
    let size: &dyn fmt::Display = if args.bytes { &bytes } else { &human };
    let name = if key.is_empty() { "in all".to_owned() } else { one_line(key) };
    print_line(&format_args!("{size:>14}  {objects:>12}  {name}", size = size.to_string()))
}
