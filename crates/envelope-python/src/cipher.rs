//! The ciphers of bodies.

use envelope_core::{
    BodyDecryptor as CoreBodyDecryptor, BodyEncryptor as CoreBodyEncryptor, ContentCipher,
    Crc64 as CoreCrc64, CtrCipher, IntegrityError, KeystreamEnd, PlainCheck,
};
use meta_codec::Envelope as CoreEnvelope;
use pyo3::{
    exceptions::{PyOverflowError, PyTypeError, PyValueError},
    prelude::*,
    types::PyBytes,
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    buffer::{CHUNK, Input, copied, detached, given, in_place, len_of, mapped, room},
    errors::IntoException as _,
    turn::Turn,
};

/// The cipher of one object that is read. That of an AES-CTR object can be used as often as needed,
/// others once.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct Cipher {
    envelope: CoreEnvelope,
    /// It is used up by its first use, unless there is a keystream.
    cipher: Turn<ContentCipher>,
    keystream: Option<CtrCipher>,
    key_bits: usize,
}

impl Cipher {
    pub(crate) fn new(envelope: CoreEnvelope, cipher: ContentCipher) -> Self {
        let keystream = match &cipher {
            ContentCipher::Ctr(ctr) => Some(ctr.clone()),
            _ => None,
        };
        let key_bits = cipher.key_bits();
        Self { envelope, cipher: Turn::new(cipher), keystream, key_bits }
    }

    /// Takes the cipher, or clones it if it is seekable.
    fn take(&self, py: Python<'_>) -> PyResult<ContentCipher> {
        match &self.keystream {
            Some(ctr) => Ok(ctr.clone().into()),
            None => self.cipher.finish(py),
        }
    }
}

#[pymethods]
impl Cipher {
    /// The length of the content key: 256, or 128 or 192 in objects of other writers.
    #[getter]
    const fn key_bits(&self) -> usize {
        self.key_bits
    }

    /// Decrypts a whole body, and checks everything that can be checked.
    fn decrypt<'py>(
        &self,
        py: Python<'py>,
        body: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let input = Input::new(body)?;
        let from = input.as_slice();
        let decryptor = CoreBodyDecryptor::from(self.take(py)?);
        let decryptor = decryptor.with_check(PlainCheck::new(&self.envelope));
        let len = u64::try_from(from.len())?;
        let len = self.envelope.content_algorithm().plain_len(len).map(usize::try_from);
        // Everything happens without the interpreter's lock, which allocating, copying and wiping
        // would hold, too.
        let Some(len) = len.transpose()? else {
            return given(py, &detached(py, from.len(), || plain_of(decryptor, from))?);
        };
        PyBytes::new_with(py, len, |to| {
            detached(py, from.len(), || {
                // Nothing may be left of what was not verified.
                fill(decryptor, from, to).inspect_err(|_| to.zeroize())
            })
        })
    }

    /// Returns what decrypts the body piece by piece.
    fn decryptor(&self, py: Python<'_>) -> PyResult<BodyDecryptor> {
        let decryptor = CoreBodyDecryptor::from(self.take(py)?);
        Ok(BodyDecryptor(Turn::new(decryptor.with_check(PlainCheck::new(&self.envelope)))))
    }

    fn __reduce_ex__(&self, _protocol: i32) -> PyResult<()> {
        Err(unpicklable())
    }
}

/// Returns the plaintext of a body, whose length only the last block tells.
fn plain_of(mut decryptor: CoreBodyDecryptor, body: &[u8]) -> PyResult<Zeroizing<Vec<u8>>> {
    let mut plain = copied(body)?;
    let outcome = decryptor.update(&mut plain).and_then(|()| decryptor.finish());
    plain.extend_from_slice(&outcome.map_err(IntegrityError::into_exception)?);
    Ok(plain)
}

/// Fills `to` with the plaintext of a body, piece by piece, because a piece stays in the cache
/// while it is hashed, decrypted and checked.
fn fill(mut decryptor: CoreBodyDecryptor, body: &[u8], to: &mut [u8]) -> PyResult<()> {
    let misfit = || PyValueError::new_err("the plaintext has another length than it should");
    let mut piece = room(CHUNK.min(body.len()))?;
    let mut left = to;
    let mut put = |plain: &[u8]| {
        let (now, later) =
            std::mem::take(&mut left).split_at_mut_checked(plain.len()).ok_or_else(misfit)?;
        now.copy_from_slice(plain);
        left = later;
        Ok::<_, PyErr>(left.len())
    };
    for next in body.chunks(CHUNK) {
        piece.clear();
        piece.extend_from_slice(next);
        decryptor.update(&mut piece).map_err(IntegrityError::into_exception)?;
        put(&piece)?;
    }
    let rest = decryptor.finish().map_err(IntegrityError::into_exception)?;
    if put(&rest)? > 0 { Err(misfit()) } else { Ok(()) }
}

/// What is in use, or secret, is neither pickled nor copied.
pub(crate) fn unpicklable() -> PyErr {
    PyTypeError::new_err("it cannot be pickled or copied")
}

/// The keystream of one object, which decrypts, and encrypts, from any byte on. Nothing
/// authenticates what it decrypts.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct Keystream(CtrCipher);

impl Keystream {
    pub(crate) const fn new(cipher: CtrCipher) -> Self {
        Self(cipher)
    }
}

#[pymethods]
impl Keystream {
    /// Returns `data`, which begins at byte `offset` of the object, decrypted or encrypted.
    #[pyo3(signature = (data, offset=0))]
    fn apply<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        offset: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let input = Input::new(data)?;
        mapped(py, &input, |from, to| self.0.at(offset).try_apply_to(from, to).map_err(ended))
    }

    /// As `apply`, in place: in a bytearray, a writable memoryview, or a numpy array of uint8.
    #[pyo3(signature = (buffer, offset=0))]
    fn apply_in_place(&self, buffer: &Bound<'_, PyAny>, offset: u64) -> PyResult<()> {
        if let Some(before_last) = (len_of(buffer)? as u64).checked_sub(1) {
            // Nothing is changed if not everything can be.
            let last = offset.checked_add(before_last).ok_or_else(|| ended(KeystreamEnd))?;
            self.0.at(last).try_apply(&mut [0]).map_err(ended)?;
        }
        let mut keystream = self.0.at(offset);
        in_place(buffer, move |piece| keystream.try_apply(piece).map_err(ended))
    }

    /// The length of the content key: 256, or 128 or 192 in objects of other writers.
    #[getter]
    const fn key_bits(&self) -> usize {
        self.0.key_bits()
    }

    fn __reduce_ex__(&self, _protocol: i32) -> PyResult<()> {
        Err(unpicklable())
    }
}

fn ended(error: KeystreamEnd) -> PyErr {
    PyOverflowError::new_err(error.to_string())
}

/// Encrypts a body piece by piece.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct BodyEncryptor(Turn<Encrypting>);

/// A body, and how much of its plaintext is still to come, if that is known.
struct Encrypting {
    body: CoreBodyEncryptor,
    missing: Option<u64>,
}

impl BodyEncryptor {
    /// `plain_len` is the length that the metadata states.
    pub(crate) fn new(body: CoreBodyEncryptor, plain_len: Option<u64>) -> Self {
        Self(Turn::bound(Encrypting { body, missing: plain_len }))
    }
}

#[pymethods]
impl BodyEncryptor {
    /// Returns the next bytes of the plaintext, encrypted. Raises `ValueError` if there are more
    /// than the metadata states.
    fn update<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let input = Input::new(data)?;
        let from = input.as_slice();
        PyBytes::new_with(py, from.len(), |to| {
            self.0.with(py, from.len(), |encrypting| {
                if let Some(missing) = &mut encrypting.missing {
                    let rest = missing.checked_sub(from.len() as u64);
                    *missing = rest.ok_or_else(other_length)?;
                }
                to.copy_from_slice(from);
                let outcome = encrypting.body.update(to);
                outcome.map_err(IntegrityError::into_exception)
            })
        })
    }

    /// Returns the last bytes of the body: the authentication tag of AES-GCM, or nothing. Raises
    /// `ValueError` if there were fewer bytes than the metadata states.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let Encrypting { body, missing } = self.0.finish(py)?;
        if missing.is_some_and(|missing| missing > 0) {
            return Err(other_length());
        }
        given(py, &body.finish())
    }

    fn __reduce_ex__(&self, _protocol: i32) -> PyResult<()> {
        Err(unpicklable())
    }
}

fn other_length() -> PyErr {
    PyValueError::new_err("the plaintext has another length than the metadata states")
}

/// Decrypts a body piece by piece. What it returns is unverified until `finish` has returned.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct BodyDecryptor(Turn<CoreBodyDecryptor>);

#[pymethods]
impl BodyDecryptor {
    /// Takes the next bytes of the body, and returns the plaintext that is ready, which may be
    /// less.
    fn update<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let input = Input::new(data)?;
        let mut plain = copied(input.as_slice())?;
        self.0.with(py, plain.len(), |body| {
            body.update(&mut plain).map_err(IntegrityError::into_exception)
        })?;
        given(py, &plain)
    }

    /// Checks everything that can be checked, and returns the last bytes of the plaintext.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let body = self.0.finish(py)?;
        let rest = body.finish().map_err(IntegrityError::into_exception)?;
        given(py, &rest)
    }

    fn __reduce_ex__(&self, _protocol: i32) -> PyResult<()> {
        Err(unpicklable())
    }
}

/// The CRC-64/XZ that both stores compute of every object.
#[pyclass(frozen, module = "envelope_cse")]
pub(crate) struct Crc64(Turn<CoreCrc64>);

#[pymethods]
impl Crc64 {
    #[new]
    fn new() -> Self {
        Self(Turn::new(CoreCrc64::new()))
    }

    /// Takes the next bytes.
    fn update(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let input = Input::new(data)?;
        let bytes = input.as_slice();
        self.0.with(py, bytes.len(), |sum| {
            sum.update(bytes);
            Ok(())
        })
    }

    /// The checksum of all bytes so far.
    #[getter]
    fn value(&self, py: Python<'_>) -> PyResult<u64> {
        self.0.with(py, 0, |sum| Ok(sum.value()))
    }

    /// Returns the checksum of two pieces, of which the second has `length` bytes.
    #[staticmethod]
    fn combine(first: u64, second: u64, length: u64) -> u64 {
        CoreCrc64::combined(first, second, length)
    }
}
