//! `envelope ls`: lists the objects of a bucket.

use std::io;

use envelope_store::list_all;
use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::{
    args::Ls,
    failure::{Failure, one_line},
    output::write_line,
    progress::set_json,
    store::runtime,
};

pub(crate) fn run(args: &Ls) -> Result<(), Failure> {
    set_json(args.json);
    let store = args.bucket.store(&args.from.location)?;
    let (runtime, mut stdout) = (runtime()?, io::stdout().lock());
    let mut entries = list_all(store, args.from.key.as_str());
    while let Some(entry) = runtime
        .block_on(entries.try_next())
        .map_err(|error| Failure::from(error).about(&args.from))?
    {
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
    Ok(())
}
