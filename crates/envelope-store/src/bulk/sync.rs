//! Comparison of a local tree with the objects below a folder of keys.

use std::{
    cmp::Ordering,
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::{Stream, StreamExt as _, stream};
use meta_codec::ContentAlgorithm;

use super::{Found, TreeFile, mtime::listed};
use crate::{Entry, StoreError};

/// What is at a path: in the tree, in the bucket, or in both.
#[derive(Debug)]
#[non_exhaustive]
pub enum Pair {
    /// A file without an object.
    Local(TreeFile),
    /// An object without a file.
    Remote(Entry),
    /// A file and an object.
    Both(TreeFile, Entry),
    /// Something in the tree that is no regular file: its path, what it is, and the object with the
    /// same path.
    PassedOver(String, &'static str, Option<Entry>),
    /// Something in the tree that cannot be read. Nobody knows what else is missing.
    Unreadable(String, io::Error),
}

/// Pairs the files of a tree with the objects whose keys begin with `prefix`, without holding more
/// than two of either in memory. Both come in the order of their paths.
///
/// The stream ends after its first error, which is [`StoreError::Malformed`] for a listing that is
/// not in order.
pub fn pairs(
    files: impl Stream<Item = Found> + Send + Unpin + 'static,
    objects: impl Stream<Item = Result<Entry, StoreError>> + Send + Unpin + 'static,
    prefix: &str,
) -> impl Stream<Item = Result<Pair, StoreError>> + Send + Unpin + 'static {
    let merge = Merge {
        files,
        objects,
        prefix: prefix.len(),
        file: None,
        object: None,
        last: None,
        is_broken: false,
    };
    stream::unfold(merge, |mut merge| async move {
        let next = merge.next().await?;
        Some((next, merge))
    })
    .boxed()
}

/// Something with a place in the order of paths.
enum Here {
    File(TreeFile),
    PassedOver(String, &'static str),
}

impl Here {
    fn path(&self) -> &str {
        match self {
            Self::File(file) => &file.key,
            Self::PassedOver(path, _) => path,
        }
    }
}

struct Merge<F, O> {
    files: F,
    objects: O,
    prefix: usize,
    file: Option<Here>,
    object: Option<Entry>,
    /// The key of the last object.
    last: Option<String>,
    is_broken: bool,
}

impl<F, O> Merge<F, O>
where
    F: Stream<Item = Found> + Send + Unpin,
    O: Stream<Item = Result<Entry, StoreError>> + Send + Unpin,
{
    async fn next(&mut self) -> Option<Result<Pair, StoreError>> {
        if self.is_broken {
            return None;
        }
        if self.file.is_none() {
            self.file = match self.files.next().await {
                None => None,
                Some(Found::File(file)) => Some(Here::File(file)),
                Some(Found::Link(path)) => Some(Here::PassedOver(path, "link")),
                Some(Found::Special(path)) => Some(Here::PassedOver(path, "special file")),
                Some(Found::Unreadable(path, error)) => {
                    return Some(Ok(Pair::Unreadable(path, error)));
                }
            };
        }
        if self.object.is_none()
            && let Err(error) = self.next_object().await
        {
            self.is_broken = true;
            return Some(Err(error));
        }
        let order = match (&self.file, &self.object) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(file), Some(object)) => {
                let path = object.key.get(self.prefix..).unwrap_or_default();
                file.path().as_bytes().cmp(path.as_bytes())
            }
        };
        let file = if order.is_le() { self.file.take() } else { None };
        let object = if order.is_ge() { self.object.take() } else { None };
        match (file, object) {
            (Some(Here::File(file)), None) => Some(Ok(Pair::Local(file))),
            (Some(Here::File(file)), Some(object)) => Some(Ok(Pair::Both(file, object))),
            (Some(Here::PassedOver(path, what)), object) => {
                Some(Ok(Pair::PassedOver(path, what, object)))
            }
            (None, object) => object.map(|object| Ok(Pair::Remote(object))),
        }
    }

    async fn next_object(&mut self) -> Result<(), StoreError> {
        self.object = self.objects.next().await.transpose()?;
        if let Some(object) = &self.object {
            if self.last.as_ref().is_some_and(|last| *last >= object.key) {
                let words = "the listing is not in the order of its keys";
                return Err(StoreError::Malformed(words.to_owned()));
            }
            self.last = Some(object.key.clone());
        }
        Ok(())
    }
}

/// What a listing says about a file and its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The target is as long as it should be, and not older than the source.
    Same,
    /// They are different, for a reason in one word.
    Changed(&'static str),
    /// They have the same length, and were written in the same second, or at an unknown time. The
    /// metadata of the object may know the [time of the file](super::modified).
    Unsure,
}

/// Compares a file with the object that it was uploaded to with a content algorithm.
#[must_use]
pub fn compare_upload(file: &TreeFile, object: &Entry, content: ContentAlgorithm) -> Verdict {
    if content.body_len(file.len) != Some(object.len) {
        return Verdict::Changed("size");
    }
    compare_times(file.modified, object.modified.as_deref().and_then(listed))
}

/// Compares an object with the file that it was downloaded to. The file has the time that the
/// metadata of the object keeps, so that a listing never knows that both are the same.
#[must_use]
pub fn compare_download(file: &TreeFile, object: &Entry) -> Verdict {
    const CONTENTS: [ContentAlgorithm; 3] =
        [ContentAlgorithm::Aes256Ctr, ContentAlgorithm::Aes256Gcm, ContentAlgorithm::Aes256Cbc];
    match CONTENTS.iter().any(|content| content.body_len(file.len) == Some(object.len)) {
        true => Verdict::Unsure,
        false => Verdict::Changed("size"),
    }
}

/// Compares the time of a source with that of its target. A listing has whole seconds.
fn compare_times(source: Option<SystemTime>, target: Option<SystemTime>) -> Verdict {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|it| it.as_secs());
    match (source.and_then(seconds), target.and_then(seconds)) {
        (Some(source), Some(target)) if source < target => Verdict::Same,
        (Some(source), Some(target)) if source > target => Verdict::Changed("newer"),
        _ => Verdict::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;

    fn file(key: &str, len: u64, at: u64) -> TreeFile {
        let time = Some(UNIX_EPOCH + Duration::from_millis(at));
        TreeFile { key: key.to_owned(), path: PathBuf::new(), len, modified: time }
    }

    fn object(key: &str, len: u64, modified: Option<&str>) -> Entry {
        let mut entry = Entry::new(key, len, "");
        entry.modified = modified.map(str::to_owned);
        entry
    }

    fn paired(files: Vec<Found>, keys: &[&str]) -> Vec<String> {
        let objects: Vec<_> = keys.iter().map(|key| Ok(object(key, 0, None))).collect();
        let pairs = pairs(stream::iter(files), stream::iter(objects), "p/");
        let say = |pair: Result<Pair, StoreError>| match pair {
            Ok(Pair::Local(file)) => format!("local {}", file.key),
            Ok(Pair::Remote(object)) => format!("remote {}", object.key),
            Ok(Pair::Both(file, object)) => format!("both {} {}", file.key, object.key),
            Ok(Pair::PassedOver(path, what, object)) => {
                format!(
                    "{what} {path}{}",
                    object.map(|it| format!(" {}", it.key)).unwrap_or_default()
                )
            }
            Ok(Pair::Unreadable(path, _)) => format!("unreadable {path}"),
            Err(error) => format!("error {error}"),
        };
        pollster::block_on(pairs.map(say).collect())
    }

    #[test]
    fn pairs_in_order() {
        let files = || {
            let unreadable = io::ErrorKind::PermissionDenied.into();
            vec![
                Found::File(file("a", 0, 0)),
                Found::Link("b".to_owned()),
                Found::Unreadable("secret".to_owned(), unreadable),
                Found::File(file("b/c", 0, 0)),
                Found::Special("d".to_owned()),
            ]
        };
        assert_eq!(
            paired(files(), &["p/a", "p/a0", "p/b", "p/e"]),
            [
                "both a p/a",
                "remote p/a0",
                "link b p/b",
                "unreadable secret",
                "local b/c",
                "special file d",
                "remote p/e"
            ]
        );
        assert_eq!(paired(Vec::new(), &["p/a", "p/b"]), ["remote p/a", "remote p/b"]);
        assert_eq!(paired(files(), &[]).len(), 5);
        for disorder in [["p/b", "p/a"], ["p/a", "p/a"]] {
            let said = paired(Vec::new(), &disorder);
            assert_eq!(said.len(), 2, "{said:?}");
            assert!(said[1].starts_with("error") && said[1].contains("order"), "{said:?}");
        }
    }

    #[test]
    fn an_upload_is_needed_if_the_file_is_newer_or_of_another_length() {
        let seconds = |text: &str| object("", 1000, Some(text));
        let (at, content) = (1_600_000_000_500, ContentAlgorithm::Aes256Ctr);
        let verdict = |object: &Entry| compare_upload(&file("", 1000, at), object, content);
        assert_eq!(verdict(&seconds("2020-09-13T12:26:41.000Z")), Verdict::Same);
        assert_eq!(verdict(&seconds("2020-09-13T12:26:39.000Z")), Verdict::Changed("newer"));
        assert_eq!(verdict(&seconds("2020-09-13T12:26:40.000Z")), Verdict::Unsure);
        assert_eq!(verdict(&seconds("yesterday")), Verdict::Unsure);
        assert_eq!(verdict(&object("", 1000, None)), Verdict::Unsure);
        assert_eq!(verdict(&object("", 1016, None)), Verdict::Changed("size"));
        let gcm = ContentAlgorithm::Aes256Gcm;
        let file = file("", 1000, at);
        assert_eq!(compare_upload(&file, &object("", 1016, None), gcm), Verdict::Unsure);
        assert_eq!(
            compare_upload(&file, &seconds("2020-09-13T12:26:41Z"), gcm),
            Verdict::Changed("size")
        );
    }

    #[test]
    fn a_download_is_needed_for_another_length() {
        let here = file("", 1000, 1_600_000_001_000);
        let object = |len| object("", len, Some("2020-09-13T12:26:40.000Z"));
        for len in [1000, 1016, 1008] {
            assert_eq!(compare_download(&here, &object(len)), Verdict::Unsure, "{len}");
        }
        for len in [0, 999, 1001, 1017] {
            assert_eq!(compare_download(&here, &object(len)), Verdict::Changed("size"), "{len}");
        }
    }
}
