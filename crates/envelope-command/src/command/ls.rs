//! `envelope ls`: lists the objects and folders of a bucket.

use std::{io, sync::Arc};

use console::{Style, style};
use envelope_store::{
    Entry, Listed, Store, StoreError, TransferError, Version, bulk::listed, envelope_of, list_all,
    list_folder, list_versions,
};
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream::BoxStream};
use indicatif::HumanBytes;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    args::Ls,
    failure::{Failure, one_line},
    many,
    output::{json_line, write_line},
    progress::say,
    protection::Protection,
    store::runtime,
};

/// The number of objects whose metadata is looked at at once.
const PARALLEL: usize = 16;

/// Something to show, and with `--long` what its metadata says.
type Row = Result<(Listed, Option<Looked>), Failure>;

/// What the metadata of an object says.
struct Looked {
    /// The length of the plaintext, if it is known.
    bytes: Option<u64>,
    dialect: &'static str,
    protection: &'static str,
}

pub(crate) fn run(args: &Ls) -> Result<(), Failure> {
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        // It outweighs CLICOLOR_FORCE.
        console::set_colors_enabled(false);
    }
    let store = args.bucket.store(&args.from.location)?;
    if args.versions {
        return versions(args, store);
    }
    let (runtime, mut stdout) = (runtime()?, io::stdout().lock());
    let mut rows = rows(args, store)?;
    let (mut objects, mut bytes, mut is_any) = (0_u64, 0_u64, false);
    while let Some(row) = runtime.block_on(rows.next()) {
        let (listed, looked) = row?;
        is_any = true;
        if let Listed::Object(entry) = &listed {
            objects = objects.saturating_add(1);
            bytes = bytes.saturating_add(entry.len);
        }
        write_line(&mut stdout, &line(args, &listed, looked.as_ref()))?;
    }
    end(args, is_any, (objects, "objects"), bytes)
}

/// Says how much there was.
fn end(args: &Ls, is_any: bool, (count, what): (u64, &str), bytes: u64) -> Result<(), Failure> {
    // A bucket may well be empty.
    let is_whole_bucket = args.from.key.is_empty() && args.patterns.is_empty();
    if !is_any && !is_whole_bucket {
        return Err(many::no_objects(&args.from));
    }
    if args.total {
        let words = format!("{count} {what}, {}", HumanBytes(bytes));
        say(&json!({ what: count, "bytes": bytes }), &words);
    }
    Ok(())
}

/// Lists all versions.
fn versions(args: &Ls, store: Arc<dyn Store>) -> Result<(), Failure> {
    let (prefix, filter) = (args.from.key.clone(), args.patterns.filter()?);
    let folder = prefix.rfind('/').map_or(0, |at| at + 1);
    let (runtime, mut stdout) = (runtime()?, io::stdout().lock());
    let (mut count, mut bytes) = (0_u64, 0_u64);
    let mut listed = list_versions(store, prefix);
    while let Some(version) = runtime.block_on(listed.next()) {
        let version = version.map_err(|error| Failure::from(error).about(&args.from))?;
        let entry = &version.entry;
        if !filter.admits(entry.key.get(folder..).unwrap_or_default()) {
            continue;
        }
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(entry.len);
        write_line(&mut stdout, &version_line(args, &version))?;
    }
    end(args, count > 0, (count, "versions"), bytes)
}

fn version_line(args: &Ls, version: &Version) -> String {
    let entry = &version.entry;
    let modified = one_line(entry.modified.as_deref().unwrap_or_default());
    if args.json {
        let line = json!({ "key": entry.key, "version": version.id, "latest": version.is_latest,
            "deleted": version.is_deletion, "bytes": entry.len, "etag": entry.etag,
            "modified": modified });
        return json_line(&line);
    }
    let state = match (version.is_deletion, version.is_latest) {
        (true, _) => "deleted",
        (false, true) => "latest",
        (false, false) => "",
    };
    let size = match version.is_deletion {
        true => "-".to_owned(),
        false => size(args, entry.len),
    };
    let (id, key) = (one_line(&version.id), one_line(&entry.key));
    format!("{size:>14}  {:<TIME$}  {state:<7}  {id}  {key}", time(entry))
}

/// The width of a time.
const TIME: usize = 17;

/// Returns when an object was written, to the minute, in UTC.
fn time(entry: &Entry) -> String {
    let text = entry.modified.as_deref().unwrap_or_default();
    let time = listed(text).and_then(|time| Timestamp::try_from(time).ok());
    time.map_or_else(|| one_line(text), |time| time.strftime("%Y-%m-%dT%H:%MZ").to_string())
}

/// Returns how a protection is shown on a terminal: what is not encrypted, or cannot be read,
/// stands out.
fn remarkable(protection: &str) -> Style {
    match protection {
        "plain" => Style::new().yellow(),
        "invalid" | "denied" | "gone" => Style::new().red(),
        _ => Style::new(),
    }
}

fn size(args: &Ls, bytes: u64) -> String {
    match args.human {
        true => HumanBytes(bytes).to_string(),
        false => bytes.to_string(),
    }
}

/// Returns what is to be shown, in its order.
fn rows(args: &Ls, store: Arc<dyn Store>) -> Result<BoxStream<'_, Row>, Failure> {
    let prefix = args.from.key.clone();
    let listed = match args.recursive {
        true => list_all(Arc::clone(&store), prefix.clone()).map_ok(Listed::Object).boxed(),
        false => list_folder(Arc::clone(&store), prefix.clone()).boxed(),
    };
    // Paths begin behind the folder that is listed.
    let (filter, folder) = (args.patterns.filter()?, prefix.rfind('/').map_or(0, |at| at + 1));
    let is_wanted = move |listed: &Listed| match listed {
        Listed::Object(entry) => filter.admits(entry.key.get(folder..).unwrap_or_default()),
        // What is in a folder may match.
        _ => true,
    };
    let wanted = listed.try_filter(move |listed| future::ready(is_wanted(listed)));
    let looked = wanted.map(move |listed| {
        let store = Arc::clone(&store);
        async move {
            let listed = listed.map_err(|error| Failure::from(error).about(&args.from))?;
            let looked = match &listed {
                Listed::Object(entry) if args.long => Some(look(&*store, entry).await?),
                _ => None,
            };
            Ok((listed, looked))
        }
    });
    Ok(looked.buffered(PARALLEL).boxed())
}

fn line(args: &Ls, listed: &Listed, looked: Option<&Looked>) -> String {
    let entry = match listed {
        Listed::Object(entry) => entry,
        folder if args.json => return json_line(&json!({ "folder": folder.name() })),
        folder => {
            let long = if args.long { " ".repeat(36) } else { String::new() };
            let name = style(one_line(folder.name())).blue().bold();
            return format!("{:>14}  {:<TIME$}  {long}{name}", "folder", "");
        }
    };
    let modified = one_line(entry.modified.as_deref().unwrap_or_default());
    if args.json {
        let mut line = json!({ "key": entry.key, "bytes": entry.len, "etag": entry.etag,
            "modified": modified });
        if let (Some(looked), Some(line)) = (looked, line.as_object_mut()) {
            line.insert("protection".to_owned(), looked.protection.into());
            line.insert("dialect".to_owned(), looked.dialect.into());
            line.insert("plain_bytes".to_owned(), looked.bytes.into());
        }
        return json_line(&line);
    }
    let size = |bytes: u64| size(args, bytes);
    let long = looked.map_or_else(String::new, |looked| {
        let bytes = looked.bytes.map_or_else(|| "?".to_owned(), size);
        let protection =
            remarkable(looked.protection).apply_to(format!("{:<8}", looked.protection));
        format!("{bytes:>12}  {:<10}  {protection}  ", looked.dialect)
    });
    let (size, key) = (size(entry.len), one_line(&entry.key));
    format!("{size:>14}  {:<TIME$}  {long}{key}", time(entry))
}

/// Looks at the metadata of an object.
async fn look(store: &dyn Store, entry: &Entry) -> Result<Looked, Failure> {
    let outcome = async {
        let meta = store.head(&entry.key).await?;
        Ok::<_, TransferError>((meta.len, envelope_of(store, &entry.key, &meta).await?))
    };
    let only = |protection| Looked { bytes: None, dialect: "", protection };
    match outcome.await {
        Ok((len, Some(envelope))) => Ok(Looked {
            bytes: envelope.content_algorithm().plain_len(len).or(envelope.plain_len()),
            dialect: envelope.dialect().id(),
            protection: Protection::of(&envelope).word(),
        }),
        Ok((len, None)) => Ok(Looked { bytes: Some(len), ..only("plain") }),
        // Somebody deleted it since it was listed.
        Err(TransferError::Store(StoreError::NotFound)) => Ok(only("gone")),
        Err(TransferError::Store(StoreError::Denied(_))) => Ok(only("denied")),
        Err(TransferError::Parse(_)) => Ok(only("invalid")),
        Err(error) => Err(Failure::from(error).about(&one_line(&entry.key))),
    }
}
