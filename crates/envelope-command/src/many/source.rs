//! Where many objects come from.

use std::{error::Error, path::Path, sync::Arc};

use envelope_store::{
    Address, Entry, Store, StoreError,
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
    pub(crate) fn check(&self) -> Result<(), Outcome> {
        self.bucket.as_ref().map_or(Ok(()), |bucket| {
            Err(Outcome::refused(format!("it belongs to another bucket: {bucket}")))
        })
    }

    /// Returns what would become of the object.
    pub(crate) fn planned(item: &Item<Self>, status: &'static str) -> Outcome {
        match item.source.check() {
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
    let listed =
        |item: Item<Entry>| item.map_source(|entry| Named { listed: Some(entry), bucket: None });
    Ok(match &inventory_file.inventory {
        None => objects(store, from, filter).map_ok(listed).map_err(Into::into).boxed(),
        Some(path) => inventory(path, from, filter)?
            .map_ok(|item| item.map_source(|bucket| Named { listed: None, bucket }))
            .boxed(),
    })
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
            key.strip_prefix(&prefix).is_some_and(|path| !path.is_empty() && filter.admits(path))
        }
        _ => true,
    };
    Ok(items.filter(move |item| future::ready(wanted(item))).boxed())
}
