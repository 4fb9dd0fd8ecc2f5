//! The self-test: in which ways of writing a service keeps user metadata.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
};

use opendal_core::{Operator, Result};

use crate::{
    Error,
    user_metadata::{Pairs, difference, pairs},
};

/// What a service is able to do, as far as metadata is concerned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    /// The ways of writing in which metadata is kept.
    pub(crate) multipart: bool,
    pub(crate) copy: bool,
    pub(crate) rename: bool,
    /// Whether a reader can insist on the version that was looked at.
    pub(crate) is_pinned: bool,
}

impl Kept {
    /// Writes an object in every way that the operator has, and deletes it.
    ///
    /// # Errors
    /// If the service keeps no metadata at all, or an operation fails.
    pub(crate) async fn test(operator: &Operator, sent: &Pairs) -> Result<Self> {
        let capability = operator.info().capability();
        let needed = [
            (capability.write_with_user_metadata, "objects"),
            (capability.stat, "objects, or does not show it,"),
            (capability.delete, "objects, or cannot delete the one of the self-test,"),
        ];
        if let Some((_, way)) = needed.iter().find(|(has, _)| !has) {
            return Err(Error::MetadataLost { way }.into());
        }
        let number = RandomState::new().build_hasher().finish();
        let paths = ["one", "copy", "moved", "parts"]
            .map(|way| format!("envelope-self-test-{number:016x}-{way}"));
        let outcome = attempt(operator, sent, &paths).await;
        let mut deleted = Ok(());
        for path in &paths {
            deleted = deleted.and(operator.delete(path).await);
        }
        let kept = outcome?;
        deleted?;
        Ok(kept)
    }
}

async fn attempt(operator: &Operator, sent: &Pairs, paths: &[String; 4]) -> Result<Kept> {
    let [one, copy, moved, parts] = paths;
    let capability = operator.info().capability();
    let metadata: Vec<(String, String)> = sent.clone().into_iter().collect();
    operator.write_with(one, vec![0; 8]).user_metadata(metadata.clone()).await?;
    if !is_kept(operator, sent, one, 8).await? {
        return Err(Error::MetadataLost { way: "objects" }.into());
    }
    let seen = operator.stat(one).await?;
    let has_tag = seen.etag().is_some_and(|tag| !tag.starts_with("W/"));
    let mut kept = Kept { is_pinned: has_tag && capability.read_with_if_match, ..Kept::default() };
    if capability.copy {
        operator.copy(one, copy).await?;
        kept.copy = is_kept(operator, sent, copy, 8).await?;
    }
    if capability.rename {
        operator.rename(one, moved).await?;
        kept.rename = is_kept(operator, sent, moved, 8).await?;
    }
    if capability.write_can_multi {
        kept.multipart = upload(operator, sent, parts).await?;
    }
    Ok(kept)
}

/// Uploads two parts, and returns whether their object has the metadata.
async fn upload(operator: &Operator, sent: &Pairs, path: &str) -> Result<bool> {
    // Two writes are two parts. The first may be the smallest that the service takes.
    let least = operator.info().capability().write_multi_min_size.unwrap_or(1);
    let metadata: Vec<(String, String)> = sent.clone().into_iter().collect();
    let mut writer = operator.writer_with(path).user_metadata(metadata).await?;
    let mut outcome = Ok(());
    for len in [least, 1] {
        if outcome.is_ok() {
            outcome = writer.write(vec![0; len]).await;
        }
    }
    let outcome = match outcome {
        Ok(()) => writer.close().await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        let _ = writer.abort().await;
        return Err(error);
    }
    is_kept(operator, sent, path, least as u64 + 1).await
}

async fn is_kept(operator: &Operator, sent: &Pairs, path: &str, len: u64) -> Result<bool> {
    let seen = operator.stat(path).await?;
    Ok(seen.content_length() == len && difference(sent, &pairs(&seen)).is_none())
}
