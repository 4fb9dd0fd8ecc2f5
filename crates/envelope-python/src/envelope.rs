//! The metadata of an object.

use std::collections::BTreeMap;

use meta_codec::{Dialect, Envelope as CoreEnvelope, Reach, parse_tolerant};
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyBytes, PyString},
};

use envelope_core::{IntegrityError, check_body_len};

use crate::errors::{IntoException as _, MetadataError, words};

/// The encryption metadata of an object, which holds no secrets.
#[pyclass(frozen, eq, module = "envelope_cse")]
#[derive(PartialEq)]
pub(crate) struct Envelope(CoreEnvelope);

impl Envelope {
    pub(crate) const fn new(envelope: CoreEnvelope) -> Self {
        Self(envelope)
    }

    pub(crate) const fn inner(&self) -> &CoreEnvelope {
        &self.0
    }
}

/// Parses the envelope in the headers of an object. Names may be in any case; other headers are
/// ignored. Returns `None` if there is no envelope: the object is not encrypted, or its metadata
/// was stripped.
///
/// `headers` is a mapping, or anything else with `items()`, of names to text or bytes.
///
/// Raises `MetadataError` if the headers are damaged, incomplete, or of several dialects.
#[pyfunction]
pub(crate) fn parse(headers: &Bound<'_, PyAny>) -> PyResult<Option<Envelope>> {
    let items = headers
        .call_method0("items")
        .map_err(|_| PyTypeError::new_err("the headers are a mapping of names to values"))?;
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
    for item in items.try_iter()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        let name = name
            .cast::<PyString>()
            .map_err(|_| PyTypeError::new_err("the names of headers are text"))?;
        // Whatever has no valid name is none of ours, and neither is what has another one.
        let Ok(name) = name.to_str() else { continue };
        if !is_envelope_header(name) {
            continue;
        }
        let value = match (value.cast::<PyString>(), value.cast::<PyBytes>()) {
            (Ok(text), _) => text
                .to_str()
                .map(|text| text.as_bytes().to_vec())
                .map_err(|_| MetadataError::new_err(format!("{name}: not valid text")))?,
            (_, Ok(bytes)) => bytes.as_bytes().to_vec(),
            _ => return Err(PyTypeError::new_err(format!("{name}: the value is text or bytes"))),
        };
        pairs.push((name.to_owned(), value));
    }
    let parsed = parse_tolerant(pairs).map_err(|error| MetadataError::new_err(words(&error)))?;
    Ok(parsed.map(Envelope))
}

/// Returns whether a header is one of an envelope, in any dialect. Case is ignored.
#[pyfunction]
pub(crate) fn is_envelope_header(name: &str) -> bool {
    let mut dialects = Dialect::ALL.into_iter();
    dialects.any(|dialect| dialect.header_names().any(|known| known.eq_ignore_ascii_case(name)))
}

#[pymethods]
impl Envelope {
    /// The dialect, such as `oss-v2`.
    #[getter]
    fn dialect(&self) -> &'static str {
        self.0.dialect().id()
    }

    /// The vendor whose objects use the dialect: `oss` or `cos`.
    #[getter]
    fn vendor(&self) -> &'static str {
        self.0.dialect().vendor().id()
    }

    /// The algorithm that encrypts the body, such as `AES-256-CTR`.
    #[getter]
    fn content_algorithm(&self) -> String {
        self.0.content_algorithm().to_string()
    }

    /// The algorithm that wraps the content key, such as `rsa-pkcs1v15`.
    #[getter]
    fn wrap_algorithm(&self) -> &'static str {
        self.0.wrap_algorithm().id()
    }

    /// The material description, which says which master key to use.
    #[getter]
    fn description(&self) -> BTreeMap<String, String> {
        self.0.description().map().clone()
    }

    /// The length of the plaintext in bytes, if the metadata states it.
    #[getter]
    fn plain_len(&self) -> Option<u64> {
        self.0.plain_len()
    }

    /// The size of the parts in bytes, if the metadata states it.
    #[getter]
    fn part_size(&self) -> Option<u64> {
        self.0.layout().map(|layout| layout.part_size())
    }

    /// Whether it carries a seal.
    #[getter]
    fn is_sealed(&self) -> bool {
        self.0.seal().is_some()
    }

    /// Whether a reader notices every change of the body, if all of it is read.
    #[getter]
    fn is_authenticated(&self) -> bool {
        self.0.is_authenticated()
    }

    /// Raises `IntegrityError` if a body of `stored` bytes is not as long as the metadata says.
    fn check_len(&self, stored: u64) -> PyResult<()> {
        check_body_len(&self.0, stored).map_err(IntegrityError::into_exception)
    }

    /// What deviates from the dialect, as in `description-unreadable`.
    #[getter]
    fn deviations(&self) -> Vec<&'static str> {
        self.0.deviations().iter().map(|deviation| deviation.id()).collect()
    }

    /// The SDKs that read the object: their names in `--for`, and whether they read ranges.
    #[getter]
    fn readers(&self) -> Vec<(&'static str, bool)> {
        let readers = self.0.readers();
        readers.map(|(reader, reach)| (reader.id(), reach == Reach::Ranges)).collect()
    }

    /// Returns the length of the plaintext of a stored body.
    fn plain_len_of(&self, stored: u64) -> Option<u64> {
        self.0.content_algorithm().plain_len(stored).or_else(|| self.0.plain_len())
    }

    /// The headers, with names in lower case.
    #[getter]
    fn headers(&self) -> PyResult<BTreeMap<&'static str, String>> {
        let headers = self.0.emit(self.0.dialect());
        let headers = headers.map_err(|error| MetadataError::new_err(words(&error)))?;
        Ok(headers.into_iter().collect())
    }

    fn __repr__(&self) -> String {
        let (wrap, content) = (self.0.wrap_algorithm(), self.0.content_algorithm());
        format!("<Envelope {}: {content}, {wrap}>", self.0.dialect())
    }
}
