//! A store in a folder: bytes are in a file, and headers in `NAME.headers.json` beside it.

mod pair;
mod upload;
mod walk;

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use envelope_core::Crc64;
use futures_util::{StreamExt as _, stream};
use meta_codec::Vendor;
use serde_json::{Map, Value};
use tempfile::NamedTempFile;

use self::{
    pair::{NewBytes, Pairs},
    upload::UploadFolder,
    walk::Walk,
};
use crate::{
    Entry, GetOptions, Headers, Object, ObjectMeta, Page, PutOptions, PutResult, Store, StoreError,
    Upload, UploadedPart,
};

/// The suffix of a sidecar's name.
const SIDECAR: &str = ".headers.json";
/// The folder of open uploads and of other files of the store's own. No object's key may start with
/// it.
const UPLOADS: &str = ".envelope-uploads";
/// The sidecar's own entry: the entity tag of the bytes that it describes.
const TAG: &str = "etag";
/// The longest name of a file, in bytes, on the file systems of today.
const MAX_NAME: usize = 255;
/// How long a listing may wait for its next page before it starts anew.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Number of bytes read at a time.
const CHUNK: usize = 256 * 1024;
/// Number of entries on a page.
const PAGE: usize = 1000;

/// A store in a local folder.
///
/// The bytes and the headers of an object change at one moment: whoever reads, and whatever crash
/// comes, finds the old pair or the new one. Replacing an object can be
/// [refused](PutOptions::create_only) without a race. The entity tag in a sidecar is the CRC-64 and
/// the length of the bytes, so that a file that was replaced by hand is noticed.
///
/// Keys are paths: they have no empty parts, and neither `.` nor `..`. Links to folders are not
/// followed by listings.
///
/// ```
/// use envelope_store::{FolderStore, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let store = FolderStore::new(folder.path());
/// assert!(store.list("", None).await?.entries.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FolderStore {
    root: PathBuf,
    /// The listing that was interrupted after a page, so that the next page goes on from there.
    cursor: Arc<Mutex<Option<Cursor>>>,
}

/// A listing after one of its pages.
struct Cursor {
    prefix: String,
    last: String,
    walk: Walk,
    since: Instant,
}

impl fmt::Debug for FolderStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderStore").field("root", &self.root).finish_non_exhaustive()
    }
}

impl FolderStore {
    /// Creates a store in `root`. The folder itself is created by the first write.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), cursor: Arc::default() }
    }

    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        path_of(&self.root, key)
    }

    fn own_path(&self, key: &str) -> Result<PathBuf, StoreError> {
        own_path(&self.root, key)
    }

    /// Makes listings under way see what changes now.
    fn changes(&self) {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Replaces an object's bytes and headers.
    fn place(
        &self,
        key: &str,
        new: NewBytes,
        headers: &Headers,
        sum: &Crc64,
        options: PutOptions,
    ) -> Result<(), StoreError> {
        let path = self.own_path(key)?;
        self.changes();
        let pairs = Pairs::write(&self.root)?;
        if options.create_only && path.exists() {
            return Err(StoreError::Exists);
        }
        pairs.place(key, &path, new, sidecar(headers, &tag_of(sum)))
    }

    /// Opens an object's file and reads its metadata from the sidecar.
    fn read_head(&self, pairs: &Pairs<'_>, key: &str) -> Result<(File, ObjectMeta), StoreError> {
        let (opened, sidecar) = pairs.open(key, &self.path(key)?)?;
        let file = opened.metadata()?;
        let malformed = |what: &str| StoreError::Malformed(format!("{key}{SIDECAR}: {what}"));
        let Value::Object(map) = sidecar else {
            return Err(malformed("not a flat JSON object"));
        };
        let mut headers = Headers::new();
        for (name, value) in map {
            let Value::String(value) = value else {
                return Err(malformed("a value is not a string"));
            };
            headers.push((name.to_ascii_lowercase(), value));
        }
        let tag = headers.iter().position(|(name, _)| name == TAG);
        let etag = tag.map(|at| headers.swap_remove(at).1);
        let (crc64, len) = etag.as_deref().and_then(read_tag).unzip();
        if len.is_some_and(|len| len != file.len()) {
            return Err(malformed("the file has a different length than the sidecar says"));
        }
        headers.push(("content-length".to_owned(), file.len().to_string()));
        let head = ObjectMeta {
            len: file.len(),
            // A file copied here by hand has no entity tag.
            etag: etag.unwrap_or_else(|| "\"\"".to_owned()),
            crc64,
            version_id: None,
            modified: file.modified().ok().map(httpdate::fmt_http_date),
            headers,
        };
        Ok((opened, head))
    }

    /// Returns the entry of an object, also if its sidecar is damaged: it is there all the same.
    fn entry(&self, pairs: &Pairs<'_>, key: String) -> Result<Option<Entry>, StoreError> {
        match self.read_head(pairs, &key) {
            Ok((_, head)) => {
                let mut entry = Entry::new(key, head.len, head.etag);
                entry.modified = head.modified;
                Ok(Some(entry))
            }
            Err(StoreError::Malformed(_)) => {
                let len = fs::metadata(self.path(&key)?)?.len();
                Ok(Some(Entry::new(key, len, "\"\"")))
            }
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn sidecar_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SIDECAR);
    name.into()
}

fn is_internal(key: &str) -> bool {
    // It may be that of another store, in a folder of this one.
    key.ends_with(SIDECAR) || key.split('/').any(|part| part.starts_with(UPLOADS.trim_matches('/')))
}

/// Takes what is not there for removed.
fn ignore_absence(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn absent(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreError::NotFound,
        _ => error.into(),
    }
}

fn tag_of(sum: &Crc64) -> String {
    format!("\"{:016X}-{}\"", sum.value(), sum.len())
}

fn read_tag(tag: &str) -> Option<(u64, u64)> {
    let (crc64, len) = tag.trim_matches('"').split_once('-')?;
    Some((u64::from_str_radix(crc64, 16).ok()?, len.parse().ok()?))
}

fn sidecar(headers: &Headers, tag: &str) -> Map<String, Value> {
    let mut map: Map<String, Value> =
        headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    map.insert(TAG.to_owned(), tag.into());
    map
}

/// Writes the sidecar of a file with this checksum, and returns its path.
pub(crate) fn write_sidecar(file: &Path, headers: &Headers, sum: &Crc64) -> io::Result<PathBuf> {
    let path = sidecar_of(file);
    let mut file = NamedTempFile::new_in(parent(&path))?;
    file.write_all(Value::Object(sidecar(headers, &tag_of(sum))).to_string().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

/// Returns the CRC-64 and the length that a sidecar states; `None` if there is no sidecar.
///
/// # Errors
/// If it cannot be read, or states nothing.
pub(crate) fn read_sidecar_sum(file: &Path) -> io::Result<Option<(u64, u64)>> {
    let text = match fs::read(sidecar_of(file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let headers: Map<String, Value> = serde_json::from_slice(&text)?;
    let sum = headers.get(TAG).and_then(Value::as_str).and_then(read_tag);
    sum.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn stored(sum: &Crc64) -> PutResult {
    PutResult::new(tag_of(sum), Some(sum.value()))
}

/// Runs disk I/O on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

impl FolderStore {
    /// Returns the open uploads for keys that are wanted.
    async fn open_uploads(
        &self,
        is_wanted: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Vec<Upload>, StoreError> {
        let own = self.clone();
        blocking(move || {
            let mut found = Vec::new();
            let Ok(entries) = fs::read_dir(own.root.join(UPLOADS)) else { return Ok(found) };
            for entry in entries {
                let id = entry?.file_name().to_string_lossy().into_owned();
                let Ok(folder) = UploadFolder::of(&own.root, &id) else { continue };
                let Ok((key, _)) = folder.begun() else { continue };
                if is_wanted(&key) {
                    let created = folder.created()?.duration_since(UNIX_EPOCH);
                    let created = created.ok().map(|since| since.as_secs());
                    found.push(Upload::new(key, id).with_created(created));
                }
            }
            Ok(found)
        })
        .await
    }
}

/// Returns the path of an object in the store at `root`.
fn path_of(root: &Path, key: &str) -> Result<PathBuf, StoreError> {
    // A part that looks like a sidecar would be in the way of one, and so would a name that is too
    // long for its sidecar.
    let plain = |part: &str| {
        Path::new(part).components().eq([Component::Normal(part.as_ref())])
            && !part.contains('\0')
            && !part.ends_with(SIDECAR)
            && part.len() + SIDECAR.len() <= MAX_NAME
    };
    if !key.split('/').all(plain) || is_internal(key) {
        let words = format!("{key:?} is not a valid key in a folder");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words).into());
    }
    Ok(root.join(key))
}

/// Returns the path of an object that is written or deleted. What is below the root is not behind a
/// symbolic link, which could lead anywhere; the root itself may be one.
fn own_path(root: &Path, key: &str) -> Result<PathBuf, StoreError> {
    let path = path_of(root, key)?;
    let mut folder = root.to_owned();
    let mut parts = Path::new(key).components().peekable();
    while let Some(part) = parts.next() {
        folder.push(part);
        let is_link = || folder.symlink_metadata().is_ok_and(|it| it.is_symlink());
        if parts.peek().is_some() && is_link() {
            let words = format!("{}: a symbolic link is not followed", folder.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words).into());
        }
    }
    Ok(path)
}

#[async_trait]
impl Store for FolderStore {
    fn vendor(&self) -> Option<Vendor> {
        None
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        let (own, key) = (self.clone(), key.to_owned());
        blocking(move || Ok(own.read_head(&Pairs::read(&own.root)?, &key)?.1)).await
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Object, StoreError> {
        let (own, name) = (self.clone(), key.to_owned());
        let (head, file, wanted) = blocking(move || {
            let (mut file, head) = own.read_head(&Pairs::read(&own.root)?, &name)?;
            if options.if_match.is_some_and(|wanted| wanted != head.etag) {
                return Err(StoreError::Changed);
            }
            let wanted = options.range.unwrap_or(0..head.len);
            let wanted = wanted.start..wanted.end.min(head.len);
            file.seek(SeekFrom::Start(wanted.start))?;
            Ok((head, file, wanted))
        })
        .await?;
        let left = wanted.end.saturating_sub(wanted.start);
        let body = stream::try_unfold((file, left), |(file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            blocking(move || {
                let mut chunk = Vec::new();
                let want = left.min(CHUNK as u64);
                let got = (&file).take(want).read_to_end(&mut chunk)?;
                if got == 0 {
                    return Err(StoreError::Malformed("the file became shorter".to_owned()));
                }
                Ok(Some((Bytes::from(chunk), (file, left.saturating_sub(got as u64)))))
            })
            .await
        });
        Ok(Object::new(head, wanted, body.boxed()))
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        let (own, key, headers) = (self.clone(), key.to_owned(), headers.clone());
        blocking(move || {
            own.own_path(&key)?;
            let mut new = NewBytes::create(&own.root)?;
            new.file.write_all(&body)?;
            let mut sum = Crc64::new();
            sum.update(&body);
            own.place(&key, new, &headers, &sum, options)?;
            Ok(stored(&sum))
        })
        .await
    }

    async fn create_multipart(
        &self,
        key: &str,
        headers: &Headers,
        _options: PutOptions,
    ) -> Result<Upload, StoreError> {
        let (own, key, headers) = (self.clone(), key.to_owned(), headers.clone());
        blocking(move || {
            own.own_path(&key)?;
            let (_, id) = UploadFolder::create(&own.root, &key, &headers)?;
            Ok(Upload::new(key, id))
        })
        .await
    }

    async fn upload_part(
        &self,
        upload: &Upload,
        number: u16,
        body: Bytes,
        _headers: &Headers,
    ) -> Result<PutResult, StoreError> {
        let folder = UploadFolder::of(&self.root, &upload.id)?;
        blocking(move || {
            let mut sum = Crc64::new();
            sum.update(&body);
            let mut file = match NamedTempFile::new_in(&folder.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(StoreError::NoUpload);
                }
                file => file?,
            };
            file.write_all(&body)?;
            // The journal of the upload will say that the part is here.
            file.as_file().sync_all()?;
            let name = format!("{number:05}.{}", tag_of(&sum).trim_matches('"'));
            for (other, path) in folder.parts()? {
                if other.number == number && path.file_name() != Some(name.as_ref()) {
                    fs::remove_file(path)?;
                }
            }
            file.persist(folder.path.join(name)).map_err(|error| error.error)?;
            Ok(stored(&sum))
        })
        .await
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<UploadedPart>, StoreError> {
        let folder = UploadFolder::of(&self.root, &upload.id)?;
        blocking(move || match folder.parts() {
            Err(StoreError::NoUpload) => {
                folder.remove()?;
                Err(StoreError::NoUpload)
            }
            parts => Ok(parts?.into_iter().map(|(part, _)| part).collect()),
        })
        .await
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, String)],
        _headers: &Headers,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        let folder = UploadFolder::of(&self.root, &upload.id)?;
        let (own, wanted) = (self.clone(), parts.to_vec());
        blocking(move || {
            let arrived = folder.parts()?;
            let (key, headers) = folder.begun()?;
            own.own_path(&key)?;
            let mut whole = NewBytes::create(&own.root)?;
            let mut sum = Crc64::new();
            let mut chunk = vec![0; CHUNK];
            for (number, etag) in &wanted {
                let part = arrived
                    .iter()
                    .find(|(part, _)| part.number == *number && part.etag == *etag)
                    .ok_or(StoreError::Changed)?;
                let (mut file, mut of_part) = (File::open(&part.1)?, Crc64::new());
                loop {
                    let got = file.read(&mut chunk)?;
                    let Some(bytes) = chunk.get(..got).filter(|bytes| !bytes.is_empty()) else {
                        break;
                    };
                    of_part.update(bytes);
                    whole.file.write_all(bytes)?;
                }
                // Before anything is replaced: the disk may have lost what was written.
                if tag_of(&of_part) != *etag {
                    return Err(StoreError::Malformed(format!("part {number} is damaged")));
                }
                sum.append(&of_part);
            }
            own.place(&key, whole, &headers, &sum, options)?;
            folder.remove()?;
            Ok(stored(&sum))
        })
        .await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StoreError> {
        let Ok(folder) = UploadFolder::of(&self.root, &upload.id) else { return Ok(()) };
        blocking(move || Ok(folder.remove()?)).await
    }

    async fn list_multipart_uploads(&self, key: &str) -> Result<Vec<Upload>, StoreError> {
        let key = key.to_owned();
        self.open_uploads(move |of| of == key).await
    }

    async fn list_uploads(
        &self,
        prefix: &str,
        after: Option<&Upload>,
    ) -> Result<(Vec<Upload>, bool), StoreError> {
        let prefix = prefix.to_owned();
        let mut open = self.open_uploads(move |of| of.starts_with(&prefix)).await?;
        open.sort_by(|one, other| (&one.key, &one.id).cmp(&(&other.key, &other.id)));
        open.retain(|it| after.is_none_or(|after| (&it.key, &it.id) > (&after.key, &after.id)));
        Ok((open, false))
    }

    async fn copy_replace_metadata(
        &self,
        key: &str,
        if_match: &str,
        headers: &Headers,
    ) -> Result<(), StoreError> {
        let (own, key) = (self.clone(), key.to_owned());
        let (if_match, headers) = (if_match.to_owned(), headers.clone());
        blocking(move || {
            let pairs = Pairs::write(&own.root)?;
            let (_, head) = own.read_head(&pairs, &key)?;
            if head.etag != if_match {
                return Err(StoreError::Changed);
            }
            pairs.replace_headers(&own.own_path(&key)?, &sidecar(&headers, &head.etag))
        })
        .await
    }

    async fn is_created_with(
        &self,
        upload: &Upload,
        headers: &Headers,
    ) -> Result<Option<bool>, StoreError> {
        let folder = UploadFolder::of(&self.root, &upload.id)?;
        let headers = headers.clone();
        blocking(move || Ok(Some(folder.begun()?.1 == headers))).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let (own, prefix, after) =
            (self.clone(), prefix.to_owned(), after.unwrap_or_default().to_owned());
        blocking(move || {
            let pairs = Pairs::read(&own.root)?;
            let mut cursor = own.cursor.lock().unwrap_or_else(PoisonError::into_inner);
            let left = cursor.take().filter(|it| {
                it.prefix == prefix && it.last == after && it.since.elapsed() < MAX_PAUSE
            });
            let mut walk = match left {
                Some(cursor) => cursor.walk,
                None => Walk::new(&own.root, &prefix, &after)?,
            };
            let mut entries = Vec::new();
            while entries.len() < PAGE {
                match walk.next() {
                    None => return Ok(Page::new(entries, None)),
                    // It comes again where the next page would begin.
                    Some(Err(_)) if !entries.is_empty() => break,
                    Some(key) => entries.extend(own.entry(&pairs, key?)?),
                }
            }
            let next = entries.last().map(|entry| entry.key.clone());
            *cursor = next.clone().map(|last| Cursor { prefix, last, walk, since: Instant::now() });
            Ok(Page::new(entries, next))
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let (own, path) = (self.clone(), self.own_path(key)?);
        blocking(move || {
            if !own.root.exists() {
                return Ok(());
            }
            own.changes();
            Pairs::write(&own.root)?.delete(&path)
        })
        .await
    }
}
