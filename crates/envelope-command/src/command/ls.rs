//! `envelope ls`: lists the objects of a bucket.

use std::{io, sync::Arc};

use envelope_store::{Store, StoreError, TransferError, envelope_of, list_all};
use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::{
    args::Ls,
    failure::{Failure, one_line},
    output::write_line,
    progress::set_json,
    protection::Protection,
    store::runtime,
};

pub(crate) fn run(args: &Ls) -> Result<(), Failure> {
    set_json(args.json);
    let store = args.bucket.store(&args.from.location)?;
    let (runtime, mut stdout) = (runtime()?, io::stdout().lock());
    let mut entries = list_all(Arc::clone(&store), args.from.key.as_str());
    while let Some(entry) = runtime
        .block_on(entries.try_next())
        .map_err(|error| Failure::from(error).about(&args.from))?
    {
        let protection = match args.long {
            true => Some(runtime.block_on(protection(&*store, &entry.key))?),
            false => None,
        };
        let modified = entry.modified.unwrap_or_default();
        let line = if args.json {
            let mut line = json!({ "key": entry.key, "bytes": entry.len, "etag": entry.etag,
                "modified": modified });
            if let (Some(word), Some(line)) = (protection, line.as_object_mut()) {
                line.insert("protection".to_owned(), word.into());
            }
            line.to_string()
        } else {
            let protection = protection.map(|word| format!("{word:<8}  ")).unwrap_or_default();
            let key = one_line(&entry.key);
            format!("{:>14}  {modified:<29}  {protection}{key}", entry.len)
        };
        write_line(&mut stdout, &line)?;
    }
    Ok(())
}

/// Returns what protects an object, in one word.
async fn protection(store: &dyn Store, key: &str) -> Result<&'static str, Failure> {
    let outcome = async {
        let meta = store.head(key).await?;
        envelope_of(store, key, &meta).await
    };
    match outcome.await {
        Ok(Some(envelope)) => Ok(Protection::of(&envelope).word()),
        Ok(None) => Ok("plain"),
        // Somebody deleted it since it was listed.
        Err(TransferError::Store(StoreError::NotFound)) => Ok("gone"),
        Err(TransferError::Store(StoreError::Denied(_))) => Ok("denied"),
        Err(TransferError::Parse(_)) => Ok("invalid"),
        Err(error) => Err(Failure::from(error).about(&one_line(key))),
    }
}
