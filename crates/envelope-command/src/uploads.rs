//! What all uploads of a command have in common.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use envelope_core::{Crc64, Decryptor, Encryptor, SealOptions};
use envelope_store::{
    Address, AttributeError, Headers, Location, ObjectMeta, Put, Store, TransferError, UploadResult,
};
use meta_codec::{
    ContentAlgorithm, Dialect, Envelope, MaterialDescription, Vendor, WrapAlgorithm, parse,
};
use serde_json::{Value, json};
use tokio::io::AsyncRead;

use crate::{
    args::{self, ObjectAttributes, Require},
    failure::Failure,
    input::check_one_stdin,
    key_file::{self, MasterKey},
};

/// The content type of what has no name that says more.
const OCTETS: &str = "application/octet-stream";

/// The uploads of a command: the keys, and how objects are encrypted.
pub(crate) struct Uploads {
    vendor: Vendor,
    /// `None` if files are uploaded as they are.
    encryption: Option<Encryption>,
    /// Ask the store to encrypt on its side, too.
    server_side: Vec<(String, String)>,
    attributes: ObjectAttributes,
}

/// The encryption of objects on this machine.
struct Encryption {
    /// Opens what an interrupted upload has written so far.
    decryptor: Decryptor,
    encryptor: Encryptor,
    seal: Option<SealOptions>,
    binds_name: bool,
    has_origin: bool,
    is_kms: bool,
    has_key_check: bool,
    content: ContentAlgorithm,
    wrap: Option<WrapAlgorithm>,
    description: MaterialDescription,
    resumes: bool,
}

impl Uploads {
    /// Reads the keys.
    pub(crate) fn new(args: &args::Put, store: &dyn Store) -> Result<Self, Failure> {
        let mut inputs = vec![args.plain.as_path()];
        inputs.extend(args.key.as_deref());
        inputs.extend(args.kms.kms_passphrase_file.as_deref());
        inputs.extend(args.sealing.origin.path());
        inputs.extend(args.bucket.sse_key.as_deref());
        check_one_stdin(inputs, &args.passphrase)?;
        let content = args.content();
        let dialect = args.wrapping.dialect.unwrap_or_else(|| default(store.vendor(), content));
        let vendor = dialect.vendor();
        let encryption = match args.plaintext {
            true => None,
            false => Some(Encryption::new(args, dialect)?),
        };
        // Before anything is sent, or reported about each of many objects.
        args.attributes.of(OCTETS).headers(vendor)?;
        let server_side = args.server_side.headers(vendor, args.bucket.sse_key.as_deref())?;
        let attributes = args.attributes.clone();
        Ok(Self { vendor, encryption, server_side, attributes })
    }

    /// Returns the vendor whose headers are written.
    pub(crate) const fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Uploads a file.
    pub(crate) async fn upload(
        &self,
        put: &Put,
        path: &Path,
        key: &str,
    ) -> Result<UploadResult, TransferError> {
        match &self.encryption {
            Some(own) => put.file(path, &own.encryptor(key), Some(&own.decryptor)).await,
            None => put.stored(path).await,
        }
    }

    /// Uploads what comes from a pipe, which must be encrypted.
    pub(crate) async fn upload_stream(
        &self,
        put: &Put,
        plain: impl AsyncRead + Send + Unpin,
        key: &str,
    ) -> Result<UploadResult, TransferError> {
        match &self.encryption {
            Some(own) => put.stream(plain, None, &own.encryptor(key)).await,
            None => Err(io::Error::from(io::ErrorKind::NotSeekable).into()),
        }
    }

    /// Returns whether an upload that was interrupted can be resumed: whether the key opens what it
    /// wraps, which a public key does not.
    pub(crate) fn resumes(&self) -> bool {
        self.encryption.as_ref().is_some_and(|encryption| encryption.resumes)
    }

    /// Returns what opens objects that were encrypted in this way.
    pub(crate) fn decryptor(&self) -> Option<&Decryptor> {
        Some(&self.encryption.as_ref()?.decryptor)
    }

    /// Returns whether a file can be compared with an object by encrypting it again: the key opens
    /// what it has written, and the cipher is AES-CTR.
    pub(crate) fn can_compare(&self) -> bool {
        let can = |own: &Encryption| own.resumes && own.content == ContentAlgorithm::Aes256Ctr;
        self.encryption.as_ref().is_none_or(can)
    }

    /// Returns the headers that say what an object is, besides its envelope.
    fn headers(&self, key: &str) -> Result<Headers, AttributeError> {
        let guessed = mime_guess::from_path(key).first_raw().unwrap_or(OCTETS);
        self.attributes.of(guessed).headers(self.vendor)
    }

    /// Returns an upload to a key as the arguments describe it.
    pub(crate) fn put(
        &self,
        args: &args::Put,
        store: Arc<dyn Store>,
        key: &str,
        parallel: u16,
    ) -> Result<Put, AttributeError> {
        let put = Put::new(store, key)
            .with_headers(self.headers(key)?)
            .with_headers(self.server_side.clone())
            .with_content(args.content())
            .with_threshold(args.threshold)
            .with_concurrency(parallel.into())
            .with_create_only(args.create_only)
            .with_spool(args.spool)
            .with_retry(args.bucket.retry());
        Ok(match args.part_size {
            Some(part_size) => put.with_part_size(part_size),
            None => put,
        })
    }

    /// Returns whether the store is asked to encrypt on its side.
    pub(crate) const fn asks_store(&self) -> bool {
        !self.server_side.is_empty()
    }

    /// Returns whether an object shows that the store did what it is asked to.
    pub(crate) fn is_server_side_as_asked(&self, meta: &ObjectMeta) -> bool {
        meta.unmet_server_side(&self.server_side).is_none()
    }

    /// Returns whether an object is encrypted, sealed, described and kept as an upload to its key
    /// would be, and opens with the key. Where a store does not show it, it is not.
    pub(crate) fn is_as_asked(&self, key: &str, meta: &ObjectMeta) -> bool {
        let Ok(wanted) = self.headers(key) else { return false };
        let shows = |(name, value): &(String, String)| meta.header(name) == Some(value.as_str());
        if !wanted.iter().all(shows) || !self.is_server_side_as_asked(meta) {
            return false;
        }
        let headers = meta.headers.iter().map(|(name, value)| (name, value));
        match (&self.encryption, parse(headers)) {
            (None, Ok(None)) => true,
            (Some(own), Ok(Some(envelope))) => own.is_as_asked(key, &envelope),
            _ => false,
        }
    }
}

impl Encryption {
    /// Returns whether an envelope is of the kind that this writes, and the key opens it.
    fn is_as_asked(&self, key: &str, envelope: &Envelope) -> bool {
        let seal = envelope.seal().map(|seal| seal.terms());
        let is_sealed = match (&self.seal, seal) {
            (None, None) => true,
            (Some(_), Some(seal)) => {
                seal.origin == self.has_origin && (seal.name_bound || !self.binds_name)
            }
            _ => false,
        };
        let decryptor = self.decryptor.clone().with_name(key);
        envelope.dialect() == self.encryptor.dialect()
            && envelope.content_algorithm() == self.content
            && envelope.description() == &self.description
            && (envelope.key_check().is_some() || !self.has_key_check)
            && self.wrap.is_none_or(|wrap| wrap == envelope.wrap_algorithm())
            && is_sealed
            // A KMS opens with any of its keys, and so does this wrap with any at all.
            && !self.is_kms
            && (envelope.wrap_algorithm() != WrapAlgorithm::AesCtrZero
                || envelope.is_bound_to_key())
            && decryptor.decrypt(envelope).is_ok_and(|cipher| cipher.key_bits() == 256)
    }

    fn new(args: &args::Put, dialect: Dialect) -> Result<Self, Failure> {
        let passphrase = args.passphrase.read()?;
        let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
        let (path, kms) = (args.key.as_deref(), args.kms.key()?);
        let master = MasterKey::one(path, passphrase, kms, args.style, dialect)?;
        // Without a description, it is tried on whatever the journal of an earlier run says.
        let mut decryptor =
            Decryptor::new(&master.keyring()).with_policy(Require::default().policy());
        let description = args.wrapping.description(dialect)?;
        let master = master.with_description(description.clone());
        if let Some(origin) = args.sealing.origin.key()? {
            decryptor = decryptor.with_origin_key(origin);
        }
        Ok(Self {
            decryptor,
            encryptor: args.wrapping.encryptor(&master, dialect),
            seal: args.sealing.options(None)?,
            binds_name: args.bind_name,
            is_kms: matches!(master, MasterKey::Kms(_)),
            has_origin: args.sealing.origin.path().is_some(),
            has_key_check: args.wrapping.key_check,
            content: args.content(),
            wrap: args.wrapping.wrap,
            description,
            resumes: !master.is_public(),
        })
    }

    /// Returns the encryptor for the object under a key.
    fn encryptor(&self, key: &str) -> Encryptor {
        let Some(seal) = &self.seal else { return self.encryptor.clone() };
        let seal = match self.binds_name {
            true => seal.clone().with_name(key),
            false => seal.clone(),
        };
        self.encryptor.clone().with_seal(seal)
    }
}

impl From<AttributeError> for Failure {
    fn from(error: AttributeError) -> Self {
        Self::usage(error, "choose another name or value")
    }
}

/// Returns what makes two uploads of the same files different jobs.
pub(crate) fn describe(args: &args::Put) -> Result<Value, Failure> {
    let wrapping = &args.wrapping;
    let key = match args.plaintext {
        true => Value::Null,
        false => key_file::describe(args.key.as_deref(), args.kms.kms.as_ref())?.into(),
    };
    Ok(json!({ "key": key,
        "dialect": wrapping.dialect.map(Dialect::id), "matdesc": wrapping.matdesc,
        "wrap": wrapping.wrap.map(WrapAlgorithm::id), "key_check": wrapping.key_check,
        "content": args.content().to_string(), "seal": !args.sealing.no_seal,
        "origin": key_file::fingerprint(args.sealing.origin.path())?, "bind_name": args.bind_name,
        "attributes": format!("{:?}", args.attributes),
        "server_side": format!("{:?}", args.server_side),
        "sse_key": key_file::fingerprint(args.bucket.sse_key.as_deref())? }))
}

/// Returns the path of the journal for uploading a file to an object, if the upload can be resumed.
pub(crate) fn journal(
    args: &args::Put,
    file: &Path,
    to: &Address,
) -> Result<Option<PathBuf>, Failure> {
    if args.no_resume || args.plaintext || args.content() != ContentAlgorithm::Aes256Ctr {
        return Ok(None);
    }
    let Some(folder) = args.state.folder() else { return Ok(None) };
    let path = fs::canonicalize(file).map_err(|error| Failure::io(file, &error))?;
    let mut to = to.clone();
    if let Location::Folder(folder) = &to.location {
        to.location =
            Location::Folder(std::path::absolute(folder).unwrap_or_else(|_| folder.clone()));
    }
    // Not the endpoint: a bucket is the same by whatever endpoint, and so are its uploads.
    let name = format!("{path:?} {to}");
    Ok(Some(folder.join(format!("put-{:016x}.json", Crc64::of(name.as_bytes())))))
}

/// The dialect to write if the caller names none: that of the store, unless it cannot say the
/// content algorithm.
fn default(vendor: Option<Vendor>, content: ContentAlgorithm) -> Dialect {
    let vendors = vendor.into_iter().chain([Vendor::DEFAULT]).chain(Vendor::ALL);
    let mut dialects = vendors.map(Vendor::default_dialect);
    let first = dialects.next().unwrap_or(Vendor::DEFAULT.default_dialect());
    let says = |dialect: &Dialect| dialect.content_algorithms().any(|each| each == content);
    [first].into_iter().chain(dialects).find(says).unwrap_or(first)
}
