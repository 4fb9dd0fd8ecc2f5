//! Where many objects come from.

use std::{error::Error, path::Path, sync::Arc};

use envelope_store::{
    Address, Entry, Location, Store, StoreError,
    bulk::{Filter, Inventory, Item, Outcome, Row, listed},
    list_all,
};
use futures_util::{
    StreamExt as _, TryStreamExt as _, future,
    stream::{self, BoxStream},
};

use crate::{args::InventoryFile, failure::Failure};

/// Returns the entries of a listing below a folder of keys whose paths there a filter admits.
pub(crate) fn entries(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
) -> BoxStream<'static, Result<Entry, StoreError>> {
    listed_below(store, from, filter, false)
}

/// Returns the same entries, `with_own` also that of the empty object that stands for the folder.
fn listed_below(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
    with_own: bool,
) -> BoxStream<'static, Result<Entry, StoreError>> {
    let prefix = from.key.len();
    list_all(store, from.key.clone())
        .try_filter(move |entry| {
            let path = entry.key.get(prefix..).unwrap_or_default();
            // The empty object that stands for the folder itself is none of those below it.
            let is_own = path.is_empty() && entry.len == 0;
            future::ready((with_own || !is_own) && filter.admits(path))
        })
        .boxed()
}

/// Returns the items of all objects below a folder of keys whose paths there a filter admits.
pub(crate) fn objects(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
) -> BoxStream<'static, Result<Item<Entry>, StoreError>> {
    items_of(entries(store, from, filter))
}

fn items_of(
    entries: BoxStream<'static, Result<Entry, StoreError>>,
) -> BoxStream<'static, Result<Item<Entry>, StoreError>> {
    entries
        .map_ok(|entry| {
            let modified = entry.modified.as_deref().and_then(listed);
            Item::new(entry.key.clone(), entry.len, entry.clone())
                .with_version(entry.etag)
                .with_modified(modified)
        })
        .boxed()
}

/// An object that was found: in a listing, or in an inventory, which says less of it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// The entry in the listing, if there was one.
    listed: Option<Entry>,
    /// The bucket that it belongs to, if that is another one.
    bucket: Option<String>,
}

impl Named {
    /// Refuses an object of another bucket.
    pub(crate) fn check(&self, key: &str) -> Result<(), Outcome> {
        self.bucket.as_ref().map_or(Ok(()), |bucket| Err(of_another_bucket(bucket, key)))
    }

    /// Returns whether the object stands for a folder: consoles make empty ones, whose keys end
    /// with a slash. If it was not listed, it is looked at.
    pub(crate) async fn is_folder(
        item: &Item<Self>,
        store: &dyn Store,
    ) -> Result<bool, StoreError> {
        Ok(item.key.ends_with('/') && item.source.len(store, &item.key).await? == 0)
    }

    /// Returns what would become of the object.
    pub(crate) fn planned(item: &Item<Self>, status: &'static str) -> Outcome {
        match item.source.check(&item.key) {
            Ok(()) => Outcome::new(status).with_bytes(item.len),
            Err(outcome) => outcome,
        }
    }

    /// Returns the length of the object as it is stored, for which it may have to be looked at.
    pub(crate) async fn len(&self, store: &dyn Store, key: &str) -> Result<u64, StoreError> {
        match &self.listed {
            Some(entry) => Ok(entry.len),
            None => Ok(store.head(key).await?.len),
        }
    }
}

/// The objects of a listing, or those that an inventory names.
pub(crate) type NamedItems = BoxStream<'static, Result<Item<Named>, Box<dyn Error + Send + Sync>>>;

/// Returns the items of all objects below a folder of keys, or of those that an inventory names,
/// whose paths there a filter admits.
pub(crate) fn named(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
    inventory_file: &InventoryFile,
) -> Result<NamedItems, Failure> {
    named_with(store, from, filter, inventory_file, false)
}

/// Returns the same items, and that of the empty object that stands for the folder, for whoever
/// deletes all of it.
pub(crate) fn named_with_own(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
    inventory_file: &InventoryFile,
) -> Result<NamedItems, Failure> {
    named_with(store, from, filter, inventory_file, true)
}

fn named_with(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
    inventory_file: &InventoryFile,
    with_own: bool,
) -> Result<NamedItems, Failure> {
    let listed =
        |item: Item<Entry>| item.map_source(|entry| Named { listed: Some(entry), bucket: None });
    Ok(match &inventory_file.inventory {
        None => {
            let entries = listed_below(store, from, filter, with_own);
            items_of(entries).map_ok(listed).map_err(Into::into).boxed()
        }
        Some(path) => inventory(path, from, filter)?
            .map_ok(|item| item.map_source(|bucket| Named { listed: None, bucket }))
            .boxed(),
    })
}

/// An object, with the bucket that it belongs to if that is another one; or the reason that not all
/// can be found.
pub(crate) type Found = Result<Item<Option<String>>, Box<dyn Error + Send + Sync>>;

/// Returns what becomes of an object of another bucket, of which a report has the address.
pub(crate) fn of_another_bucket(bucket: &str, key: &str) -> Outcome {
    Outcome::refused(format!("it belongs to another bucket: {bucket}"))
        .with_detail("object", format!("{bucket}/{key}"))
        .with_detail(Outcome::BUCKET, bucket)
}

/// Returns what would become of an object that may be of another bucket.
pub(crate) fn planned(item: &Item<Option<String>>, status: &'static str) -> Outcome {
    match &item.source {
        Some(bucket) => of_another_bucket(bucket, &item.key),
        None => Outcome::new(status),
    }
}

/// Returns the path of a key that begins with a prefix, to which patterns relate: below the folder
/// that the prefix is in, or that it names. `photos/20` is about keys in `photos/`, and `photos`
/// about those in `photos/` and about others that begin so.
pub(crate) fn path_below<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = key.strip_prefix(prefix)?;
    if !prefix.is_empty()
        && !prefix.ends_with('/')
        && let Some(path) = rest.strip_prefix('/')
    {
        return Some(path);
    }
    let folder = prefix.rfind('/').map_or(0, |slash| slash.saturating_add(1));
    key.get(folder..)
}

/// Returns the objects of an inventory whose paths below a folder of keys a filter admits. An
/// object of another bucket is looked at in every run: the one of that key here is another.
pub(crate) fn inventory(
    path: &Path,
    from: &Address,
    filter: Filter,
) -> Result<BoxStream<'static, Found>, Failure> {
    let prefix = from.key.clone();
    let rows = Inventory::open(path, &from.location)?;
    let vendor = from.location.vendor();
    let address = move |bucket: String| match vendor {
        Some(vendor) => Location::Bucket(vendor, bucket).to_string(),
        None => bucket,
    };
    let items = stream::iter(rows.map(move |row| match row? {
        Row::Foreign { bucket, key } => {
            Ok(Item::new(key, 0, Some(address(bucket))).with_always(true))
        }
        Row::Key(key) => Ok(Item::new(key, 0, None)),
        row => Err(format!("{row:?}: such rows are not supported").into()),
    }));
    let wanted = move |item: &Found| match item {
        Ok(Item { key, source: None, .. }) => {
            path_below(key, &prefix).is_some_and(|path| filter.admits(path))
        }
        _ => true,
    };
    Ok(items.filter(move |item| future::ready(wanted(item))).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_behind_the_folder() {
        for (key, prefix, path) in [
            ("p/a", "p/", Some("a")),
            ("p/a", "p", Some("a")),
            ("p/a", "", Some("p/a")),
            ("p/20/a", "p/20", Some("a")),
            ("p/20a/b", "p/20", Some("20a/b")),
            // The object that is called as the folder is.
            ("p/", "p/", Some("")),
            ("p/", "p", Some("")),
            ("p//x", "p/", Some("/x")),
            ("p//x", "p", Some("/x")),
            ("//x", "", Some("//x")),
            ("q", "p", None),
        ] {
            assert_eq!(path_below(key, prefix), path, "{key} below {prefix}");
        }
    }
}
