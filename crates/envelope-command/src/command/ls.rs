//! `envelope ls`: lists the objects of a bucket.

use std::io;

use serde_json::json;

use crate::{
    args::Ls,
    failure::{Failure, one_line},
    output::write_line,
    store::runtime,
};

pub(crate) fn run(args: &Ls) -> Result<(), Failure> {
    let store = args.bucket.store(&args.from.location)?;
    let (runtime, mut after) = (runtime()?, None);
    let mut stdout = io::stdout().lock();
    loop {
        let page = runtime.block_on(store.list(&args.from.key, after.as_deref()));
        let page = page.map_err(|error| Failure::from(error).about(&args.from))?;
        for entry in page.entries {
            let modified = entry.modified.unwrap_or_default();
            let line = if args.json {
                json!({ "key": entry.key, "bytes": entry.len, "etag": entry.etag,
                    "modified": modified })
                .to_string()
            } else {
                format!("{:>14}  {modified:<29}  {}", entry.len, one_line(&entry.key))
            };
            write_line(&mut stdout, &line)?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
