//! Master keys.

use std::{collections::BTreeMap, sync::Arc};

use envelope_core::{
    AesKeyWrapper, KeyWrapper, KmsKeyWrapper, OriginKey as CoreOriginKey, RsaKeyWrapper,
};
use envelope_kms::{CacheLimits, CachedKms, Client, Credentials, Endpoint, KmsAddress, KmsVendor};
use meta_codec::MaterialDescription;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use zeroize::Zeroizing;

use crate::{
    buffer::{Input, copied, detached},
    errors::{EncryptError, KeyFileError, words},
    forked,
};

/// A master key, which wraps the content key of each object. It is `RsaKey`, `AesKey` or `KmsKey`,
/// cannot be pickled, and shows nothing of itself.
#[pyclass(frozen, subclass, module = "envelope_cse")]
pub(crate) struct MasterKey {
    wrapper: Arc<dyn KeyWrapper>,
}

impl MasterKey {
    pub(crate) fn wrapper(&self) -> &Arc<dyn KeyWrapper> {
        &self.wrapper
    }
}

#[pymethods]
impl MasterKey {
    /// The description that is written into metadata, and with which the key is found again.
    #[getter]
    fn description(&self) -> BTreeMap<String, String> {
        self.wrapper.description().map().clone()
    }
}

/// An RSA key, or only its public half, which can only encrypt.
#[pyclass(frozen, extends = MasterKey, module = "envelope_cse")]
pub(crate) struct RsaKey(RsaKeyWrapper);

#[pymethods]
impl RsaKey {
    /// Reads a key file: PEM or DER, PKCS#1, PKCS#8 or SPKI, encrypted or not.
    ///
    /// `pkcs1_where_unstated` wraps with PKCS#1 v1.5 in the dialect `cos-v1`, as cos-python-sdk-v5
    /// does with keys that it is given by value, and OAEP with those that are in files.
    #[new]
    #[pyo3(signature = (file, *, passphrase=None, description=None, pkcs1_where_unstated=false))]
    fn new(
        py: Python<'_>,
        file: &Bound<'_, PyAny>,
        passphrase: Option<&Bound<'_, PyAny>>,
        description: Option<BTreeMap<String, String>>,
        pkcs1_where_unstated: bool,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (file, passphrase) = (secret(file)?, passphrase.map(secret).transpose()?);
        let key = py
            .detach(|| RsaKeyWrapper::read(&file, passphrase.as_ref().map(|bytes| &bytes[..])))
            .map_err(|error| KeyFileError::new_err(words(&error)))?;
        let key = if pkcs1_where_unstated { key.with_pkcs1v15_where_unstated() } else { key };
        Self::described(key, description)
    }

    /// Generates a key pair.
    #[staticmethod]
    #[pyo3(signature = (bits=3072, *, description=None))]
    fn generate(
        py: Python<'_>,
        bits: usize,
        description: Option<BTreeMap<String, String>>,
    ) -> PyResult<Py<Self>> {
        let key = py.detach(|| RsaKeyWrapper::generate(bits));
        let key = key.map_err(|error| PyValueError::new_err(words(&error)))?;
        Py::new(py, Self::described(key, description)?)
    }

    /// The length of the modulus.
    #[getter]
    fn bits(&self) -> usize {
        self.0.bits()
    }

    /// Whether the private half is there, with which objects are read.
    #[getter]
    fn is_private(&self) -> bool {
        self.0.is_private()
    }

    /// The SHA-256 of the public half, in hexadecimal digits: the same for both halves.
    #[getter]
    fn fingerprint(&self) -> PyResult<String> {
        let digest = self.0.fingerprint();
        Ok(hex(&digest.map_err(|error| KeyFileError::new_err(words(&error)))?))
    }

    /// Returns the public half in PEM.
    fn public_pem(&self) -> PyResult<String> {
        self.0.public_pem().map_err(|error| KeyFileError::new_err(words(&error)))
    }

    /// Returns the private half in PEM (PKCS#8), encrypted if there is a passphrase.
    #[pyo3(signature = (passphrase=None))]
    fn private_pem<'py>(
        &self,
        py: Python<'py>,
        passphrase: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let passphrase = passphrase.map(secret).transpose()?;
        let pem = py.detach(|| self.0.private_pem(passphrase.as_ref().map(|bytes| &bytes[..])));
        let pem = pem.map_err(|error| KeyFileError::new_err(words(&error)))?;
        Ok(PyBytes::new(py, pem.as_bytes()))
    }

    fn __repr__(&self) -> String {
        let half = if self.0.is_private() { "private" } else { "public" };
        // What tells keys apart, where an object is looked for by how it is written.
        let name = self.fingerprint().unwrap_or_default();
        format!("<RsaKey of {} bits, {half}, {name:.16}>", self.0.bits())
    }
}

impl RsaKey {
    fn described(
        key: RsaKeyWrapper,
        description: Option<BTreeMap<String, String>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let key = key.with_description(parsed(description)?);
        let base = MasterKey { wrapper: forked::shared(&key) };
        Ok(PyClassInitializer::from(base).add_subclass(Self(key)))
    }
}

/// An AES key of 16, 24 or 32 bytes.
#[pyclass(frozen, extends = MasterKey, module = "envelope_cse")]
pub(crate) struct AesKey(AesKeyWrapper);

#[pymethods]
impl AesKey {
    /// Takes the bytes of the key themselves. `read` takes what is in a key file.
    #[new]
    #[pyo3(signature = (key, *, description=None))]
    fn new(
        key: &Bound<'_, PyAny>,
        description: Option<BTreeMap<String, String>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let key = AesKeyWrapper::new(&secret(key)?);
        Self::described(key.map_err(|error| KeyFileError::new_err(words(&error)))?, description)
    }

    /// Reads what is in a key file: base64, or the bytes themselves.
    #[staticmethod]
    #[pyo3(signature = (file, *, description=None))]
    fn read(
        py: Python<'_>,
        file: &Bound<'_, PyAny>,
        description: Option<BTreeMap<String, String>>,
    ) -> PyResult<Py<Self>> {
        let key = AesKeyWrapper::read(&secret(file)?);
        let key = key.map_err(|error| KeyFileError::new_err(words(&error)))?;
        Py::new(py, Self::described(key, description)?)
    }

    /// Generates the text of a key file: a 256-bit key in base64.
    #[staticmethod]
    fn generate_text(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
        let text = AesKeyWrapper::generate_text();
        let text = text.map_err(|error| EncryptError::new_err(words(&error)))?;
        Ok(PyBytes::new(py, text.as_bytes()))
    }

    /// A digest that tells keys apart and reveals nothing of them, in hexadecimal digits.
    #[getter]
    fn fingerprint(&self) -> String {
        hex(&self.0.fingerprint())
    }

    fn __repr__(&self) -> String {
        format!("<AesKey {:.16}>", self.fingerprint())
    }
}

impl AesKey {
    fn described(
        key: AesKeyWrapper,
        description: Option<BTreeMap<String, String>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let key = key.with_description(parsed(description)?);
        let base = MasterKey { wrapper: Arc::new(key.clone()) };
        Ok(PyClassInitializer::from(base).add_subclass(Self(key)))
    }
}

/// A master key in the key management service of Aliyun or Tencent. What it unwraps is kept for a
/// while, so that many ranges of one object cost one call.
#[pyclass(frozen, extends = MasterKey, module = "envelope_cse")]
pub(crate) struct KmsKey(String);

#[pymethods]
impl KmsKey {
    /// `address` is `VENDOR:REGION[:KEY_ID]`, such as `aliyun:cn-hangzhou:KEY_ID`. Without the
    /// key's id it only reads. Without an access key, the one in the environment is used.
    /// `context_passphrase` is the passphrase of oss2's `AliKMSProvider`.
    #[new]
    #[pyo3(signature = (address, *, access_key_id=None, access_key_secret=None,
        session_token=None, endpoint=None, context_passphrase=None, blob_twice=false,
        description=None))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        address: &str,
        access_key_id: Option<String>,
        access_key_secret: Option<String>,
        session_token: Option<String>,
        endpoint: Option<&str>,
        context_passphrase: Option<&str>,
        blob_twice: bool,
        description: Option<BTreeMap<String, String>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let invalid = |error: &dyn std::error::Error| PyValueError::new_err(words(error));
        let address = address.parse::<KmsAddress>().map_err(|_| {
            PyValueError::new_err("the address of a KMS is VENDOR:REGION or VENDOR:REGION:KEY_ID")
        })?;
        let endpoint = endpoint.map(str::parse::<Endpoint>).transpose();
        let endpoint = endpoint.map_err(|error| invalid(&error))?;
        let service = address.service(endpoint.as_ref()).map_err(|error| invalid(&error))?;
        let description = parsed(description)?;
        let client = match (access_key_id, access_key_secret) {
            (Some(id), Some(secret)) => {
                let credentials = Credentials::new(id, secret);
                Client::new(
                    service,
                    match session_token {
                        Some(token) => credentials.with_token(token),
                        None => credentials,
                    },
                )
            }
            (None, None) => Client::new(service, address.vendor.environment()),
            _ => {
                return Err(PyValueError::new_err(
                    "an access key consists of access_key_id and access_key_secret",
                ));
            }
        };
        let kms = Arc::new(CachedKms::new(client, CacheLimits::default()));
        let mut key = KmsKeyWrapper::new(kms).with_description(description);
        if let Some(passphrase) = context_passphrase {
            key = key.with_passphrase(passphrase);
        }
        if blob_twice {
            key = key.with_blob_twice();
        }
        let base = MasterKey { wrapper: Arc::new(key) };
        let shown = match address.vendor {
            KmsVendor::Aliyun => "<KmsKey of Aliyun>",
            _ => "<KmsKey of Tencent>",
        };
        Ok(PyClassInitializer::from(base).add_subclass(Self(shown.to_owned())))
    }

    fn __repr__(&self) -> &str {
        &self.0
    }
}

/// The secret key that those who write to a bucket share with those who read from it, so that
/// nobody else's objects pass for theirs.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct OriginKey(CoreOriginKey);

impl OriginKey {
    pub(crate) fn inner(&self) -> CoreOriginKey {
        self.0.clone()
    }
}

#[pymethods]
impl OriginKey {
    /// Takes the 32 bytes of the key.
    #[new]
    fn new(key: &Bound<'_, PyAny>) -> PyResult<Self> {
        let key = secret(key)?;
        let bytes: [u8; 32] = key
            .as_slice()
            .try_into()
            .map_err(|_| KeyFileError::new_err("an origin key has 32 bytes"))?;
        Ok(Self(CoreOriginKey::new(Zeroizing::new(bytes))))
    }

    fn __repr__(&self) -> &'static str {
        "<OriginKey>"
    }
}

/// Reads a secret, which is text or bytes, into memory that is wiped.
fn secret(object: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<u8>>> {
    if let Ok(text) = object.extract::<&str>() {
        return copied(text.as_bytes());
    }
    copied(Input::new(object)?.as_slice())
}

fn parsed(description: Option<BTreeMap<String, String>>) -> PyResult<MaterialDescription> {
    MaterialDescription::new(description.unwrap_or_default())
        .map_err(|error| PyValueError::new_err(words(&error)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs an operation with master keys, without the interpreter's lock: RSA takes a millisecond, and
/// a KMS many.
pub(crate) fn with_keys<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    detached(py, usize::MAX, work)
}
