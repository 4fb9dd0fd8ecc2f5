//! Buckets and folders: what is done with an object without its bytes passing through Python.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use envelope_core::{
    DecryptError, Decryptor as CoreDecryptor, Encryptor as CoreEncryptor, PolicyError, RewrapError,
    check_body_len,
};
use envelope_store::{
    Address, Copy, Endpoint, Get, Location, ObjectMeta, OutputError, OutputFile, OutputOptions,
    Profile, Put, Rewrap, Rewrapped, Settings, Store as CoreStore, StoreError, TransferError,
    bulk::{KeyFault, TargetFolder},
    envelope_of, head_unless_gone, is_instruction_file,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::PyBytes,
};
use tokio::task::spawn_blocking;

use crate::{
    buffer::{Input, copied, given},
    decryptor::Decryptor,
    encryptor::Encryptor,
    envelope::Envelope,
    errors::{IntoException as _, words},
    runtime::wait,
};

/// A bucket of OSS or COS, or a folder. Threads may share it.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct Store {
    inner: Arc<dyn CoreStore>,
    location: Location,
    process: u32,
}

/// The outcome for one object: its status, the length of its plaintext, and details.
type Row = (String, Option<u64>, BTreeMap<&'static str, String>);

#[pymethods]
impl Store {
    /// `address` is `oss://BUCKET`, `cos://BUCKET-APPID` or `file:FOLDER`. Access keys come from
    /// the environment, or from where the command `envelope` finds them, or from the profile
    /// `profile` of the file `profile_file`.
    #[new]
    #[pyo3(signature = (address, *, region=None, endpoint=None, profile_file=None,
        profile="default"))]
    fn new(
        address: &str,
        region: Option<String>,
        endpoint: Option<&str>,
        profile_file: Option<PathBuf>,
        profile: &str,
    ) -> PyResult<Self> {
        let invalid = |error: &dyn std::error::Error| PyValueError::new_err(words(error));
        let slash = if address.ends_with('/') { "" } else { "/" };
        let parsed: Address = format!("{address}{slash}").parse().map_err(|it| invalid(&it))?;
        if !parsed.key.is_empty() {
            return Err(PyValueError::new_err("the address is that of a bucket or of a folder"));
        }
        let mut settings = Settings::new();
        if let Some(path) = profile_file {
            let read = Profile::read(&path, profile).map_err(|error| invalid(&error))?;
            settings = settings.with_profile(read);
        }
        if let Some(region) = region {
            settings = settings.with_region(region);
        }
        if let Some(endpoint) = endpoint {
            let endpoint: Endpoint = endpoint.parse().map_err(|error| invalid(&error))?;
            settings = settings.with_endpoint(endpoint);
        }
        let location = parsed.location;
        let inner = location.open(&settings).map_err(|error| invalid(&error))?;
        Ok(Self { inner, location, process: process::id() })
    }

    /// Returns the length and the entity tag of an object, and its headers. Raises
    /// `FileNotFoundError` if there is none.
    fn head(
        &self,
        py: Python<'_>,
        key: String,
    ) -> PyResult<(u64, String, BTreeMap<String, String>)> {
        let store = self.store()?;
        let meta = wait(py, async move { store.head(&key).await })?;
        let meta = meta.map_err(StoreError::into_exception)?;
        Ok((meta.len, meta.etag, meta.headers.into_iter().collect()))
    }

    /// Returns the envelope of an object, wherever it is, or `None`.
    fn envelope(&self, py: Python<'_>, key: String) -> PyResult<Option<Envelope>> {
        let store = self.store()?;
        let found = wait(py, async move {
            let meta = store.head(&key).await?;
            envelope_of(&*store, &key, &meta).await
        })?;
        Ok(found.map_err(TransferError::into_exception)?.map(Envelope::new))
    }

    /// Returns up to 1000 objects whose keys begin with `prefix`, as tuples of key, length and
    /// entity tag, and the marker of the next page, or `None` at the end.
    #[pyo3(signature = (prefix="", marker=None))]
    #[expect(clippy::type_complexity, reason = "it is a tuple in Python")]
    fn list_page(
        &self,
        py: Python<'_>,
        prefix: &str,
        marker: Option<&str>,
    ) -> PyResult<(Vec<(String, u64, String)>, Option<String>)> {
        let store = self.store()?;
        let page = wait(py, async move { store.list(prefix, marker).await })?;
        let page = page.map_err(StoreError::into_exception)?;
        let entries = page.entries.into_iter().map(|entry| (entry.key, entry.len, entry.etag));
        Ok((entries.collect(), page.next))
    }

    /// Encrypts and uploads bytes.
    fn put(
        &self,
        py: Python<'_>,
        key: String,
        data: &Bound<'_, PyAny>,
        encryptor: &Encryptor,
    ) -> PyResult<()> {
        let data = copied(Input::new(data)?.as_slice())?;
        let (store, encryptor) = (self.store()?, encryptor.inner().clone());
        let put = wait(py, async move {
            let len = Some(data.len() as u64);
            Put::new(store, key).stream(&data[..], len, &encryptor).await
        })?;
        put.map(|_| ()).map_err(TransferError::into_exception)
    }

    /// Encrypts and uploads a file. With `journal`, the path of a file, and `decryptor`, which
    /// opens what `encryptor` wraps, an upload that was interrupted is continued.
    #[pyo3(signature = (key, path, encryptor, *, journal=None, decryptor=None))]
    fn put_file(
        &self,
        py: Python<'_>,
        key: String,
        path: PathBuf,
        encryptor: &Encryptor,
        journal: Option<PathBuf>,
        decryptor: Option<&Decryptor>,
    ) -> PyResult<()> {
        let (store, encryptor) = (self.store()?, encryptor.inner().clone());
        let decryptor = decryptor.map(|decryptor| decryptor.here());
        let put = wait(py, async move {
            let mut put = Put::new(store, key);
            if let Some(journal) = journal {
                put = put.with_journal(journal);
            }
            put.file(&path, &encryptor, decryptor.as_ref()).await
        })?;
        put.map(|_| ()).map_err(TransferError::into_exception)
    }

    /// Downloads and decrypts an object, and checks everything that can be checked.
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: String,
        decryptor: &Decryptor,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (store, decryptor) = (self.store()?, decryptor.here());
        let plain = wait(py, async move {
            Get::new(store, key).decrypt(&decryptor).await?.read_to_end().await
        })?;
        given(py, &zeroize::Zeroizing::new(plain.map_err(TransferError::into_exception)?))
    }

    /// Audits objects: returns for each key, in order, a word, the length of the plaintext, and
    /// details. `opens`: a key of the decryptor opens it. `locked`: none does. `plain`: it has no
    /// envelope. `invalid`: its metadata is damaged. `unprotected`: the policy refuses it. `gone`.
    /// `failed`: it could not be looked at; the detail `error` says why.
    #[pyo3(signature = (keys, decryptor, *, parallel=16))]
    fn audit(
        &self,
        py: Python<'_>,
        keys: Vec<String>,
        decryptor: &Decryptor,
        parallel: usize,
    ) -> PyResult<Vec<Row>> {
        let (store, decryptor) = (self.store()?, decryptor.here());
        self.each(py, keys, parallel, move |key| {
            let (store, decryptor) = (Arc::clone(&store), decryptor.clone());
            async move { audited(&store, key, decryptor).await }
        })
    }

    /// Verifies objects: downloads and decrypts each, and checks everything that can be checked.
    /// The words are those of `audit`, and `verified` or `damaged`.
    #[pyo3(signature = (keys, decryptor, *, parallel=4))]
    fn verify(
        &self,
        py: Python<'_>,
        keys: Vec<String>,
        decryptor: &Decryptor,
        parallel: usize,
    ) -> PyResult<Vec<Row>> {
        let (store, decryptor) = (self.store()?, decryptor.here());
        self.each(py, keys, parallel, move |key| {
            let (store, decryptor) = (Arc::clone(&store), decryptor.clone());
            async move { told(verified(store, key, &decryptor).await.map(|it| ("verified", it))) }
        })
    }

    /// Rewraps objects with the key of `encryptor`. The words are those of `audit`, and
    /// `rewrapped`, or `already` if `new` opens the object. Where the store cannot replace
    /// metadata, `reupload` downloads and uploads the ciphertext.
    #[pyo3(signature = (keys, decryptor, encryptor, *, new=None, reupload=false, parallel=16))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn rewrap(
        &self,
        py: Python<'_>,
        keys: Vec<String>,
        decryptor: &Decryptor,
        encryptor: &Encryptor,
        new: Option<&Decryptor>,
        reupload: bool,
        parallel: usize,
    ) -> PyResult<Vec<Row>> {
        let (store, old) = (self.store()?, decryptor.here());
        let (encryptor, new) = (encryptor.inner().clone(), new.map(Decryptor::here));
        self.each(py, keys, parallel, move |key| {
            let mut rewrap = Rewrap::new(Arc::clone(&store), key).with_reupload(reupload);
            if let Some(new) = &new {
                rewrap = rewrap.with_new_keys(new);
            }
            let (old, encryptor) = (old.clone(), encryptor.clone());
            async move {
                told(rewrap.run(&old, &encryptor).await.map(|outcome| match outcome {
                    Rewrapped::Already => ("already", None),
                    _ => ("rewrapped", None),
                }))
            }
        })
    }

    /// Encrypts files of this machine into the store: a list of pairs of a key and a path. The
    /// words are those of `audit`, and `encrypted`.
    #[pyo3(signature = (pairs, encryptor, *, parallel=4))]
    fn encrypt_files(
        &self,
        py: Python<'_>,
        pairs: Vec<(String, PathBuf)>,
        encryptor: &Encryptor,
        parallel: usize,
    ) -> PyResult<Vec<Row>> {
        let (store, encryptor) = (self.store()?, encryptor.inner().clone());
        self.each(py, pairs, parallel, move |(key, path)| {
            let (put, encryptor) = (Put::new(Arc::clone(&store), key), encryptor.clone());
            async move {
                let put = put.file(&path, &encryptor, None).await;
                told(put.map(|result| ("encrypted", Some(result.len))))
            }
        })
    }

    /// Decrypts objects into files of `folder`, whose paths in it are the keys. A file has its name
    /// only when all of it was verified; one that is there already is replaced with `replace`, and
    /// an error without. A key that would lead out of the folder is refused. The words are those of
    /// `audit`, and `decrypted` or `refused`.
    #[pyo3(signature = (keys, folder, decryptor, *, replace=false, parallel=4))]
    fn decrypt_files(
        &self,
        py: Python<'_>,
        keys: Vec<String>,
        folder: PathBuf,
        decryptor: &Decryptor,
        replace: bool,
        parallel: usize,
    ) -> PyResult<Vec<Row>> {
        let (store, decryptor) = (self.store()?, decryptor.here());
        let mut folder = TargetFolder::create(&folder)?;
        let placed = keys.into_iter().map(|key| (folder.place(&key), key));
        let placed: Vec<(Result<PathBuf, KeyFault>, String)> = placed.collect();
        self.each(py, placed, parallel, move |(path, key)| {
            let (get, decryptor) = (Get::new(Arc::clone(&store), key), decryptor.clone());
            async move {
                match path {
                    Ok(path) => {
                        let done = decrypted(&get, &path, &decryptor, replace).await;
                        told(done.map(|()| ("decrypted", None)))
                    }
                    Err(fault) => failed("refused", &fault),
                }
            }
        })
    }

    /// Copies objects to another store, whose vendor may be another one: a list of pairs of a key
    /// here and a key there. The ciphertext stays as it is, and the envelope is written in the
    /// dialect of `encryptor`, with its key. The words are those of `audit`, and `translated`.
    #[pyo3(signature = (pairs, decryptor, target, encryptor, *, parallel=4))]
    fn translate(
        &self,
        py: Python<'_>,
        pairs: Vec<(String, String)>,
        decryptor: &Decryptor,
        target: &Self,
        encryptor: &Encryptor,
        parallel: usize,
    ) -> PyResult<Vec<Row>> {
        let (from, to, decryptor) = (self.store()?, target.store()?, decryptor.here());
        let encryptor = encryptor.inner().clone();
        self.each(py, pairs, parallel, move |(key, new)| {
            let copy = Copy::new((Arc::clone(&from), key), (Arc::clone(&to), new))
                .with_keys(&decryptor, &encryptor)
                .with_new_envelope(true);
            async move { told(copy.run().await.map(|result| ("translated", Some(result.len)))) }
        })
    }

    /// Reads objects from this store, and encrypts them anew into `target`: a list of pairs of a
    /// key here and a key there. With a policy that allows plaintext, objects are encrypted that
    /// were not. The words are those of `audit`, and `encrypted`.
    ///
    /// An object that is there already is replaced; the one that is read, only if nobody else has
    /// replaced it in the meantime.
    #[pyo3(signature = (pairs, decryptor, target, encryptor, *, parallel=4))]
    fn reencrypt(
        &self,
        py: Python<'_>,
        pairs: Vec<(String, String)>,
        decryptor: &Decryptor,
        target: &Self,
        encryptor: &Encryptor,
        parallel: usize,
    ) -> PyResult<Vec<Row>> {
        let (from, to, decryptor) = (self.store()?, target.store()?, decryptor.here());
        let encryptor = encryptor.inner().clone();
        let is_same_store = self.location == target.location;
        self.each(py, pairs, parallel, move |(key, new)| {
            let (from, to) = (Arc::clone(&from), Arc::clone(&to));
            let (decryptor, encryptor) = (decryptor.clone(), encryptor.clone());
            async move {
                let replaces = is_same_store && key == new;
                let (get, put) = (Get::new(from, key), Put::new(to, new));
                let done = reencrypted(&get, &decryptor, put, &encryptor, replaces).await;
                told(done.map(|len| ("encrypted", len)))
            }
        })
    }

    fn __repr__(&self) -> String {
        format!("<Store {}>", self.location)
    }
}

impl Store {
    fn store(&self) -> PyResult<Arc<dyn CoreStore>> {
        if process::id() == self.process {
            Ok(Arc::clone(&self.inner))
        } else {
            // Its connections are the parent's.
            Err(PyRuntimeError::new_err("a store is not used in a forked process: open another"))
        }
    }

    /// Does the same with many objects, several at a time. The rows are in the order of the items.
    fn each<I, F>(
        &self,
        py: Python<'_>,
        items: Vec<I>,
        parallel: usize,
        work: impl Fn(I) -> F + Send,
    ) -> PyResult<Vec<Row>>
    where
        I: Send,
        F: Future<Output = Row> + Send,
    {
        let parallel = parallel.clamp(1, 1024);
        wait(py, stream::iter(items.into_iter().map(work)).buffered(parallel).collect())
    }
}

async fn audited(store: &Arc<dyn CoreStore>, key: String, decryptor: CoreDecryptor) -> Row {
    let meta = match head_unless_gone(&**store, &key).await {
        Ok(Some(meta)) => meta,
        Ok(None) => return row("gone", None),
        Err(error) => return told(Err(error.into())),
    };
    let mut row = match envelope_of(&**store, &key, &meta).await {
        Ok(Some(envelope)) => opened(&key, &meta, envelope, decryptor).await,
        Ok(None) => match is_instruction_file(&**store, &key).await {
            Ok(true) => row("instruction file", None),
            Ok(false) => row("plain", Some(meta.len)),
            Err(error) => told(Err(error.into())),
        },
        Err(error) => told(Err(error)),
    };
    row.2.insert("etag", meta.etag);
    row
}

async fn opened(
    key: &str,
    meta: &ObjectMeta,
    envelope: meta_codec::Envelope,
    decryptor: CoreDecryptor,
) -> Row {
    let mut facts = BTreeMap::from([
        ("dialect", envelope.dialect().id().to_owned()),
        ("wrap", envelope.wrap_algorithm().id().to_owned()),
        ("content", envelope.content_algorithm().to_string()),
        ("description", envelope.description().text().to_owned()),
        ("sealed", envelope.seal().is_some().to_string()),
    ]);
    let plain_len = envelope.content_algorithm().plain_len(meta.len).or(envelope.plain_len());
    let mut found = if let Err(error) = check_body_len(&envelope, meta.len) {
        told(Err(error.into()))
    } else {
        let decryptor = decryptor.with_name(key);
        match spawn_blocking(move || decryptor.decrypt(&envelope).map(|_| ())).await {
            Ok(outcome) => told(outcome.map(|()| ("opens", plain_len)).map_err(Into::into)),
            Err(error) => failed("failed", &error),
        }
    };
    facts.append(&mut found.2);
    (found.0, found.1, facts)
}

/// Reads all of an object, and returns the length of its plaintext.
async fn verified(
    store: Arc<dyn CoreStore>,
    key: String,
    decryptor: &CoreDecryptor,
) -> Result<Option<u64>, TransferError> {
    let mut plain = Get::new(store, key).decrypt(decryptor).await?.into_stream();
    let mut len = 0_u64;
    while let Some(piece) = plain.try_next().await? {
        len = len.saturating_add(piece.len() as u64);
    }
    Ok(Some(len))
}

async fn reencrypted(
    get: &Get,
    decryptor: &CoreDecryptor,
    mut put: Put,
    encryptor: &CoreEncryptor,
    replaces: bool,
) -> Result<Option<u64>, TransferError> {
    let object = get.decrypt(decryptor).await?;
    if replaces {
        put = put.with_expected(object.meta.clone());
    }
    let len = object.plain_len();
    put.stream(object.into_reader(), len, encryptor).await?;
    Ok(len)
}

async fn decrypted(
    get: &Get,
    path: &Path,
    decryptor: &CoreDecryptor,
    replace: bool,
) -> Result<(), TransferError> {
    let options = OutputOptions::new().with_replace(replace);
    let output = OutputFile::create(path, options)?;
    get.to_file(decryptor, &output).await?;
    output.commit()?;
    Ok(())
}

fn row(word: &str, len: Option<u64>) -> Row {
    (word.to_owned(), len, BTreeMap::new())
}

fn failed(word: &str, error: &dyn std::error::Error) -> Row {
    (word.to_owned(), None, BTreeMap::from([("error", words(error))]))
}

/// Returns the row of an outcome.
fn told(outcome: Result<(&'static str, Option<u64>), TransferError>) -> Row {
    let error = match outcome {
        Ok((word, len)) => return row(word, len),
        Err(error) => error,
    };
    let word = match &error {
        TransferError::Store(StoreError::NotFound) => return row("gone", None),
        TransferError::Store(StoreError::Exists)
        | TransferError::Output(OutputError::Exists(_)) => "exists",
        TransferError::Decrypt(error) | TransferError::Rewrap(RewrapError::Decrypt(error)) => {
            match error {
                DecryptError::Policy(PolicyError::NotEncrypted) => "plain",
                DecryptError::Policy(_) => "unprotected",
                error if error.is_undecided() => "failed",
                _ => "locked",
            }
        }
        TransferError::Parse(_) => "invalid",
        TransferError::Integrity(_) | TransferError::Corrupt(_) => "damaged",
        _ => "failed",
    };
    failed(word, &error)
}
