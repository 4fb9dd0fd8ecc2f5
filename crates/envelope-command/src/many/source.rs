//! Where many objects come from.

use std::{error::Error, path::Path, sync::Arc};

use envelope_store::{
    Address, Entry, Store, StoreError,
    bulk::{Filter, Inventory, Item, Row, listed},
    list_all,
};
use futures_util::{
    StreamExt as _, TryStreamExt as _, future,
    stream::{self, BoxStream},
};

use crate::failure::Failure;

/// Returns the entries of a listing below a folder of keys whose paths there a filter admits.
pub(crate) fn entries(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
) -> BoxStream<'static, Result<Entry, StoreError>> {
    let prefix = from.key.len();
    list_all(store, from.key.clone())
        .try_filter(move |entry| {
            // The marker of the folder itself is none of the objects below it.
            let path = entry.key.get(prefix..).unwrap_or_default();
            future::ready(!path.is_empty() && filter.admits(path))
        })
        .boxed()
}

/// Returns the items of all objects below a folder of keys whose paths there a filter admits.
pub(crate) fn objects(
    store: Arc<dyn Store>,
    from: &Address,
    filter: Filter,
) -> BoxStream<'static, Result<Item<Entry>, StoreError>> {
    entries(store, from, filter)
        .map_ok(|entry| {
            let modified = entry.modified.as_deref().and_then(listed);
            Item::new(entry.key.clone(), entry.len, entry.clone())
                .with_version(entry.etag)
                .with_modified(modified)
        })
        .boxed()
}

/// An object, with the bucket that it belongs to if that is another one; or the reason that not all
/// can be found.
pub(crate) type Found = Result<Item<Option<String>>, Box<dyn Error + Send + Sync>>;

/// Returns the objects of an inventory whose paths below a folder of keys a filter admits.
pub(crate) fn inventory(
    path: &Path,
    from: &Address,
    filter: Filter,
) -> Result<BoxStream<'static, Found>, Failure> {
    let prefix = from.key.clone();
    let rows = Inventory::open(path, &from.location)?;
    let items = stream::iter(rows.map(|row| match row? {
        Row::Foreign { bucket, key } => Ok(Item::new(key, 0, Some(bucket))),
        Row::Key(key) => Ok(Item::new(key, 0, None)),
        row => Err(format!("{row:?}: such rows are not supported").into()),
    }));
    let wanted = move |item: &Found| match item {
        Ok(Item { key, source: None, .. }) => {
            filter.admits(key.strip_prefix(&prefix).unwrap_or(key))
        }
        _ => true,
    };
    Ok(items.filter(move |item| future::ready(wanted(item))).boxed())
}
