//! Rewrapping all versions of an object.
//!
//! A version cannot be changed. It can be written again, which makes it the newest one, and then be
//! deleted. So all versions from the oldest that the old key opens are written again, in their
//! order, and the ones that they stand for are deleted at the end.
//!
//! The metadata of each copy says which version it stands for. By that, a later run
//! continues one that was interrupted, and a version that somebody else writes meanwhile becomes
//! the newest one again.

use std::{collections::HashMap, sync::Arc};

use envelope_core::{Decryptor, EncryptError, Encryptor};
use futures_util::TryStreamExt as _;

use super::{NewKeys, Rewrap, Rewrapped, changed_if_gone};
use crate::{
    Copy, ObjectMeta, Store, StoreError, TransferError, list_versions,
    object_envelope::envelope_of, object_name::named, retry::again,
};

/// The name of the metadata, without the prefix of the vendor.
const STANDS_FOR: &str = "envelope-version";
/// The ID of versions in a bucket that keeps none, or none any more.
const NULL_VERSION: &str = "null";
const KEEPS_NONE: &str = "all versions in a bucket that keeps none";
/// The number of times that the versions are listed again because somebody else wrote one.
const MAX_ROUNDS: usize = 10;

/// A version that is an object.
struct Known {
    id: String,
    meta: ObjectMeta,
    /// The version that it stands for, if that is there.
    stands_for: Option<String>,
}

/// All versions of an object.
struct History {
    /// The newest first.
    versions: Vec<Known>,
    /// `true` if the object is deleted now.
    is_deleted: bool,
    /// `true` if it was deleted after the newest version that stands for no other.
    was_deleted: bool,
}

/// The keys that open a version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opens {
    Old,
    New,
    Neither,
}

impl Rewrap {
    /// Rewraps all versions of the object that `old` opens, in a bucket that keeps versions, so
    /// that the old master key opens none of them any more. It takes the keys that open what was
    /// rewrapped already, [`with_new_keys`](Self::with_new_keys).
    ///
    /// The versions keep their order, and get new IDs and times. Their metadata says which version
    /// each stands for (`envelope-version`); that an object was deleted between two of them is not
    /// kept. **Meanwhile, each of them is the current one for a moment**, so that nothing should
    /// read the object. If the future is dropped, an older version may be the current one until the
    /// next run continues. Nothing is deleted before all versions are there again.
    ///
    /// # Errors
    /// Any [`TransferError`]; [`StoreError::Unsupported`] if the bucket keeps no versions now;
    /// [`StoreError::NotFound`] if there are none of the object.
    pub async fn run_all_versions(
        &self,
        old: &Decryptor,
        encryptor: &Encryptor,
    ) -> Result<Rewrapped, TransferError> {
        let Some(NewKeys(new)) = &self.new else {
            return Err(StoreError::Unsupported("all versions without the new keys").into());
        };
        let history = self.history().await.map_err(changed_if_gone)?;
        if history.versions.is_empty() {
            return Err(StoreError::NotFound.into());
        }
        self.rewrap_history(history, (old, new), encryptor).await.map_err(changed_if_gone)
    }

    /// Rewraps what was just listed, and what is listed again if somebody else writes a version.
    async fn rewrap_history(
        &self,
        seen: History,
        (old, new): (&Decryptor, &Decryptor),
        encryptor: &Encryptor,
    ) -> Result<Rewrapped, TransferError> {
        let (mut seen, mut backoff) = (Some(seen), self.retry.start());
        for _ in 0..MAX_ROUNDS {
            let history = match seen.take() {
                Some(history) => history,
                None => self.history().await?,
            };
            let copies: HashMap<&str, &Known> = history
                .versions
                .iter()
                .rev()
                .filter_map(|it| Some((it.stands_for.as_deref()?, it)))
                .collect();
            // Those that stand for no other, the oldest first.
            let own = history.versions.iter().rev().filter(|it| it.stands_for.is_none());
            let own: Vec<&Known> = own.collect();
            let mut first = None;
            for (at, known) in own.iter().enumerate() {
                let is_begun = copies.contains_key(known.id.as_str());
                if is_begun || self.opens(known, old, new).await? == Opens::Old {
                    first = Some(at);
                    break;
                }
            }
            let Some(own) = first.and_then(|first| own.get(first..)) else {
                return Ok(Rewrapped::Already);
            };
            let mut missing: Vec<&Known> = own.to_vec();
            missing.retain(|it| !copies.contains_key(it.id.as_str()));
            let newest = history.versions.first().and_then(|it| it.stands_for.as_ref());
            if missing.is_empty() && newest == own.last().map(|it| &it.id) {
                self.check(own, &copies, (old, new)).await?;
                if history.was_deleted && !history.is_deleted {
                    // What came meanwhile is not to be hidden.
                    if self.newest().await? != history.versions.first().map(|it| it.id.clone()) {
                        continue;
                    }
                    if let Err(error) = self.store.delete_once(&self.key).await {
                        again(&mut backoff, &self.listener.waits(), error).await?;
                        continue;
                    }
                }
                self.delete(own, &history, &copies).await?;
                return Ok(Rewrapped::Versions(own.len() as u64));
            }
            if missing.is_empty() {
                // All are there, but the newest is not the newest any more.
                missing.extend(own.last());
            }
            // Whatever cannot be written again is known before anything is.
            let mut checked = Vec::with_capacity(missing.len());
            for known in missing {
                checked.push((known, self.opens(known, old, new).await?));
            }
            for (known, opens) in checked {
                self.write_again(known, opens, (old, new), encryptor).await?;
            }
        }
        Err(StoreError::Changed.into())
    }

    /// Lists the versions, and looks at each.
    async fn history(&self) -> Result<History, TransferError> {
        let mut listed = list_versions(Arc::clone(&self.store), self.key.clone());
        let mut history = History { versions: Vec::new(), is_deleted: false, was_deleted: false };
        let mut deletions = Vec::new();
        while let Some(version) = listed.try_next().await? {
            // Keys that begin with this one come after it.
            if version.entry.key != self.key {
                break;
            }
            if version.is_latest && version.id == NULL_VERSION {
                // What is written now replaces what is there.
                return Err(StoreError::Unsupported(KEEPS_NONE).into());
            }
            if version.is_deletion {
                deletions.push(history.versions.len());
                continue;
            }
            let meta = self.at(&version.id)?.head(&self.key).await?;
            let name =
                self.store.vendor().map(|it| format!("{}{STANDS_FOR}", it.metadata_prefix()));
            let stands_for = name.and_then(|name| meta.header(&name).map(str::to_owned));
            history.versions.push(Known { id: version.id, meta, stands_for });
        }
        // What it stood for may be gone: then it is a version like any other.
        let ids: Vec<String> = history.versions.iter().map(|it| it.id.clone()).collect();
        for known in &mut history.versions {
            known.stands_for = known.stands_for.take().filter(|id| ids.contains(id));
        }
        let newest = history.versions.iter().position(|it| it.stands_for.is_none());
        history.is_deleted = deletions.contains(&0);
        history.was_deleted =
            newest.is_some_and(|newest| deletions.iter().any(|before| *before <= newest));
        Ok(history)
    }

    /// Returns the ID of the current version, if the object is not deleted.
    async fn newest(&self) -> Result<Option<String>, StoreError> {
        match self.store.head(&self.key).await {
            Ok(meta) => Ok(meta.version_id),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn at(&self, id: &str) -> Result<Arc<dyn Store>, StoreError> {
        self.store.at_version(&self.key, id).ok_or(StoreError::Unsupported("versions"))
    }

    /// Returns who opens a version.
    async fn opens(
        &self,
        known: &Known,
        old: &Decryptor,
        new: &Decryptor,
    ) -> Result<Opens, TransferError> {
        let store = self.at(&known.id)?;
        let Some(envelope) = envelope_of(&*store, &self.key, &known.meta).await? else {
            return Ok(Opens::Neither);
        };
        if let Some(refusal) = envelope.refusal() {
            return Err(refusal.clone().into());
        }
        for (opens, decryptor) in [(Opens::New, new), (Opens::Old, old)] {
            match named(decryptor, &self.key).decrypt_async(&envelope).await {
                Ok(cipher) if cipher.key_bits() < 256 => {
                    return Err(EncryptError::ShortContentKey.into());
                }
                Ok(_) => return Ok(opens),
                Err(error) if !error.is_undecided() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Opens::Neither)
    }

    /// Writes a version again, as the newest one.
    async fn write_again(
        &self,
        known: &Known,
        opens: Opens,
        (old, new): (&Decryptor, &Decryptor),
        encryptor: &Encryptor,
    ) -> Result<(), TransferError> {
        let store = self.at(&known.id)?;
        let vendor = store.vendor().ok_or(StoreError::Unsupported("versions"))?;
        let name = format!("{}{STANDS_FOR}", vendor.metadata_prefix());
        let listener = self.listener.clone();
        let to = (Arc::clone(&self.store), self.key.as_str());
        let copy = Copy::new((store, self.key.as_str()), to)
            .with_headers([(name, known.id.clone())])
            .with_retry(self.retry)
            .with_progress(move |event| listener.notify(event));
        let copy = match opens {
            Opens::Old => copy.with_keys(old, encryptor).with_new_envelope(true),
            Opens::New => copy.with_keys(new, encryptor),
            Opens::Neither => copy,
        };
        copy.run().await?;
        Ok(())
    }

    /// Looks at the versions that stand for others.
    async fn check(
        &self,
        own: &[&Known],
        copies: &HashMap<&str, &Known>,
        (old, new): (&Decryptor, &Decryptor),
    ) -> Result<(), TransferError> {
        for known in own {
            let copy = copies.get(known.id.as_str()).ok_or(StoreError::Changed)?;
            let same_bytes = (copy.meta.len, copy.meta.crc64) == (known.meta.len, known.meta.crc64);
            let before = self.opens(known, old, new).await?;
            let now = self.opens(copy, old, new).await?;
            let same_key = now == before || (before == Opens::Old && now == Opens::New);
            if !same_bytes || !same_key || now == Opens::Old {
                let what = "a version that was written again is another";
                return Err(TransferError::Damaged { what, removed: false });
            }
        }
        Ok(())
    }

    /// Deletes the versions for which others stand, and those that were written more than once.
    async fn delete(
        &self,
        own: &[&Known],
        history: &History,
        copies: &HashMap<&str, &Known>,
    ) -> Result<(), TransferError> {
        let is_own = |id: &str| own.iter().any(|known| known.id == id);
        let twice = history.versions.iter().filter(|it| {
            let stands_for = it.stands_for.as_deref().filter(|id| is_own(id));
            let copy = stands_for.and_then(|id| copies.get(id));
            copy.is_some_and(|copy| copy.id != it.id)
        });
        // The newest first: if this is interrupted, those that stand for a version that is gone are
        // newer than those that stand for one that is there, and their order is right.
        for known in twice.chain(own.iter().rev().copied()) {
            self.store.delete_version(&self.key, &known.id).await?;
        }
        Ok(())
    }
}
