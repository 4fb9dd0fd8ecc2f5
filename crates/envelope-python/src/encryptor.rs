//! Encryption: new objects.

use std::{
    collections::BTreeMap,
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use envelope_core::{
    EncryptedObject as CoreObject, Encryptor as CoreEncryptor, PartPlan, SealOptions,
};
use meta_codec::{ContentAlgorithm, Dialect, Vendor, WrapAlgorithm};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};

use crate::{
    buffer::{Input, copied, detached, given, mapped},
    cipher::{BodyEncryptor, Keystream, unpicklable},
    envelope::Envelope,
    errors::{IntoException as _, words},
    keys::{MasterKey, OriginKey, with_keys},
    turn::check_process,
};

/// Creates new objects: each gets a content key of its own. Threads may share it.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct Encryptor {
    inner: CoreEncryptor,
    content: ContentAlgorithm,
}

impl Encryptor {
    pub(crate) const fn inner(&self) -> &CoreEncryptor {
        &self.inner
    }
}

#[pymethods]
impl Encryptor {
    /// `dialect` is `oss-v2`, `oss-v1`, `cos-v2` or `cos-v1`; `content` is `ctr` or `gcm`; `wrap`
    /// is the algorithm that wraps the content key, if not the usual one. `name` is the key under
    /// which the object will be stored, which binds the seal to it.
    #[new]
    #[pyo3(signature = (key, dialect, *, content="ctr", wrap=None, seal=true, key_check=false,
        origin_key=None, name=None, allow_weak_wrap=false))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        key: &MasterKey,
        dialect: &str,
        content: &str,
        wrap: Option<&str>,
        seal: bool,
        key_check: bool,
        origin_key: Option<&OriginKey>,
        name: Option<String>,
        allow_weak_wrap: bool,
    ) -> PyResult<Self> {
        let dialect: Dialect = dialect.parse().map_err(|error| {
            let writable: Vec<&str> = Dialect::writable_ids().collect();
            PyValueError::new_err(format!("{}; there are {}", words(&error), writable.join(", ")))
        })?;
        let content = match content {
            "ctr" => ContentAlgorithm::Aes256Ctr,
            "gcm" => ContentAlgorithm::Aes256Gcm,
            _ => return Err(PyValueError::new_err("content is ctr or gcm")),
        };
        let mut inner = CoreEncryptor::new(key.wrapper(), dialect);
        if let Some(wrap) = wrap {
            let found = WrapAlgorithm::ALL.into_iter().find(|known| known.id() == wrap);
            let unknown = || PyValueError::new_err("there is no such wrap algorithm");
            inner = inner.with_wrap_algorithm(found.ok_or_else(unknown)?);
        }
        if key_check {
            inner = inner.with_key_check();
        }
        if allow_weak_wrap {
            inner = inner.allow_weak_wrap();
        }
        let mut options = SealOptions::new();
        if let Some(key) = origin_key {
            options = options.with_origin_key(key.inner());
        }
        if let Some(name) = name {
            options = options.with_name(Arc::<str>::from(name));
        }
        inner = if seal { inner.with_seal(options) } else { inner.without_seal() };
        Ok(Self { inner, content })
    }

    /// Creates an object. `plain_len` is the length of the plaintext, if it is known; it is then in
    /// the metadata, where the dialect has a place for it.
    #[pyo3(signature = (plain_len=None))]
    fn start(&self, py: Python<'_>, plain_len: Option<u64>) -> PyResult<EncryptedObject> {
        let mut encryptor = self.inner.clone();
        if let Some(len) = plain_len {
            encryptor = encryptor.with_plain_len(len);
        }
        let object = if self.content == ContentAlgorithm::Aes256Ctr {
            let object = with_keys(py, || encryptor.encrypt());
            let object = object.map_err(envelope_core::EncryptError::into_exception)?;
            Object::Ctr { object: Box::new(object), is_used: false }
        } else {
            let object = with_keys(py, || encryptor.encrypt_with(self.content));
            let object = object.map_err(envelope_core::EncryptError::into_exception)?;
            let (envelope, cipher) = object.into_inner();
            Object::Other { envelope: Box::new(envelope), cipher: Some(Box::new(cipher)) }
        };
        Ok(EncryptedObject { process: process::id(), object: Mutex::new(object) })
    }

    /// Encrypts a plaintext in memory. Returns the headers and the body of the object.
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        plain: &Bound<'py, PyAny>,
    ) -> PyResult<(BTreeMap<&'static str, String>, Bound<'py, PyBytes>)> {
        let input = Input::new(plain)?;
        let object = self.start(py, Some(input.as_slice().len() as u64))?;
        let body = object.encrypt_all(py, &input)?;
        Ok((object.headers()?, body))
    }

    /// Creates an object that is uploaded in parts: all have `part_size` bytes, a multiple of 16,
    /// but the last.
    fn start_parts(
        &self,
        py: Python<'_>,
        data_size: u64,
        part_size: u64,
    ) -> PyResult<PartEncryptor> {
        if self.content != ContentAlgorithm::Aes256Ctr {
            return Err(PyValueError::new_err("only AES-CTR objects are uploaded in parts"));
        }
        let plan = PartPlan::new(data_size, part_size, self.inner.dialect());
        let plan = plan.map_err(|error| PyValueError::new_err(words(&error)))?;
        // The body arrives in any order, so the seal covers the metadata only.
        let encryptor = self.inner.clone().with_parts(plan);
        let object = with_keys(py, || encryptor.encrypt());
        object.map(PartEncryptor).map_err(envelope_core::EncryptError::into_exception)
    }

    /// Whether its objects have a keystream, with which any of their bytes can be encrypted.
    #[getter]
    fn is_seekable(&self) -> bool {
        self.content == ContentAlgorithm::Aes256Ctr
    }

    /// The dialect that it writes.
    #[getter]
    const fn dialect(&self) -> &'static str {
        self.inner.dialect().id()
    }

    /// The vendor whose objects it writes: `oss` or `cos`.
    #[getter]
    fn vendor(&self) -> &'static str {
        Vendor::id(self.inner.dialect().vendor())
    }
}

enum Object {
    Ctr {
        object: Box<CoreObject<envelope_core::CtrCipher>>,
        /// A second body with the same keystream would reveal both.
        is_used: bool,
    },
    Other {
        envelope: Box<meta_codec::Envelope>,
        cipher: Option<Box<envelope_core::BodyEncryptor>>,
    },
}

/// A new object: its metadata, and the cipher of its body.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct EncryptedObject {
    process: u32,
    object: Mutex<Object>,
}

impl EncryptedObject {
    /// Held only for as long as it takes to look at the object.
    fn lock(&self) -> MutexGuard<'_, Object> {
        self.object.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encrypts the whole body, and seals it.
    fn encrypt_all<'py>(
        &self,
        py: Python<'py>,
        input: &Input<'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let ctr = match &*self.lock() {
            Object::Ctr { object, .. } => Some((object.cipher().clone(), object.body_hasher())),
            Object::Other { .. } => None,
        };
        let Some((cipher, hasher)) = ctr else {
            let mut body = copied(input.as_slice())?;
            let mut encryptor = self.take()?;
            let encrypted = detached(py, body.len(), || {
                encryptor.update(&mut body)?;
                body.extend(encryptor.finish());
                Ok(())
            });
            encrypted.map_err(envelope_core::IntegrityError::into_exception)?;
            return given(py, &body);
        };
        let mut digest = None;
        let body = mapped(py, input, |from, to| {
            cipher.at(0).apply_to(from, to);
            digest = hasher.map(|hasher| {
                let mut whole = hasher.whole();
                whole.update(to);
                whole.finish()
            });
            Ok(())
        })?;
        if let (Some(digest), Object::Ctr { object, .. }) = (digest, &mut *self.lock()) {
            object.seal_body(digest).map_err(envelope_core::EncryptError::into_exception)?;
        }
        Ok(body)
    }

    fn take(&self) -> PyResult<envelope_core::BodyEncryptor> {
        check_process(self.process)?;
        match &mut *self.lock() {
            Object::Ctr { object, is_used } => match std::mem::replace(is_used, true) {
                false => Ok(object.cipher().clone().into()),
                true => Err(used()),
            },
            Object::Other { cipher, .. } => cipher.take().map(|cipher| *cipher).ok_or_else(used),
        }
    }
}

#[pymethods]
impl EncryptedObject {
    /// The headers to send with the object.
    #[getter]
    fn headers(&self) -> PyResult<BTreeMap<&'static str, String>> {
        match &*self.lock() {
            Object::Ctr { object, .. } => Ok(object.headers().iter().cloned().collect()),
            Object::Other { envelope, .. } => {
                let headers = envelope.emit(envelope.dialect());
                let headers = headers.map_err(envelope_core::EncryptError::from);
                let headers = headers.map_err(envelope_core::EncryptError::into_exception)?;
                Ok(headers.into_iter().collect())
            }
        }
    }

    /// The envelope that the headers carry.
    #[getter]
    fn envelope(&self) -> Envelope {
        Envelope::new(match &*self.lock() {
            Object::Ctr { object, .. } => object.envelope().clone(),
            Object::Other { envelope, .. } => (**envelope).clone(),
        })
    }

    /// Returns what encrypts the body piece by piece, once. The seal then covers the metadata only.
    fn encryptor(&self) -> PyResult<BodyEncryptor> {
        let len = self.envelope().inner().plain_len();
        Ok(BodyEncryptor::new(self.take()?, len))
    }

    /// Returns the keystream of an AES-CTR object, which encrypts any of its bytes. To encrypt two
    /// plaintexts with the same bytes of it reveals both.
    fn keystream(&self) -> PyResult<Keystream> {
        check_process(self.process)?;
        match &*self.lock() {
            Object::Ctr { object, .. } => Ok(Keystream::new(object.cipher().clone())),
            Object::Other { .. } => {
                Err(PyValueError::new_err("only AES-CTR objects have a keystream"))
            }
        }
    }

    fn __reduce_ex__(&self, _protocol: i32) -> PyResult<()> {
        Err(unpicklable())
    }
}

fn used() -> PyErr {
    PyValueError::new_err("an object has one body")
}

/// A new object that is uploaded in parts, in any order and by any number of threads.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct PartEncryptor(CoreObject<envelope_core::CtrCipher>);

#[pymethods]
impl PartEncryptor {
    /// The headers with which the upload is created.
    #[getter]
    fn headers(&self) -> BTreeMap<&'static str, String> {
        self.0.headers().iter().cloned().collect()
    }

    /// The number of parts.
    #[getter]
    fn count(&self) -> usize {
        self.0.parts().map_or(0, |parts| parts.len())
    }

    /// Returns the first byte and the length of a part, which are counted from 1.
    fn part(&self, number: u16) -> PyResult<(u64, u64)> {
        let cipher = self.0.part(number).map_err(|error| PyValueError::new_err(words(&error)))?;
        Ok((cipher.part().start(), cipher.part().len()))
    }

    /// Returns a part, encrypted. Raises `ValueError` if it is not as long as the plan says: the
    /// parts that follow would be unreadable.
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        number: u16,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let cipher = self.0.part(number).map_err(|error| PyValueError::new_err(words(&error)))?;
        let input = Input::new(data)?;
        mapped(py, &input, |from, to| {
            to.copy_from_slice(from);
            cipher.encrypt_in_place(to).map_err(|error| PyValueError::new_err(words(&error)))
        })
    }

    fn __reduce_ex__(&self, _protocol: i32) -> PyResult<()> {
        Err(unpicklable())
    }
}
