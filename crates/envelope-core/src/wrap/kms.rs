//! Master keys in a KMS.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use meta_codec::{
    BlobForm, Envelope, IvForm, KmsContext, KmsConvention, MaterialDescription, WrapAlgorithm,
};
use zeroize::Zeroizing;

use super::{KeyWrapper, UnwrapError, WrapError, WrappedKey};
use crate::{
    ContentKey,
    key::Candidate,
    kms::{ContextStyle, Kms, KmsError, candidates},
};

/// A master key in a key management service.
///
/// CEK and IV are generated locally and encrypted by the service in two calls per object, as the Go
/// and Java SDKs of OSS do. [`Encryptor`](crate::Encryptor) then has them decrypted once, in two
/// more. Reading takes two calls, or one if the IV is in the clear. Clones share the service.
///
/// ```
/// use envelope_core::{Decryptor, Dialect, Encryptor, Keyring, KmsKeyWrapper, WrapAlgorithm};
/// use envelope_core::kms::MemoryKms; // or `envelope_kms::Client`, or a `Kms` of your own
///
/// let key = KmsKeyWrapper::new(MemoryKms::new(WrapAlgorithm::KmsAliyun));
/// let object = Encryptor::new(&key, Dialect::OSS_V2).encrypt()?;
/// Decryptor::new(&Keyring::new().with(key)).decrypt(object.envelope())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(missing_debug_implementations, reason = "a passphrase is not printed")]
pub struct KmsKeyWrapper<K> {
    kms: Arc<K>,
    description: MaterialDescription,
    context_style: ContextStyle,
    context: Option<Zeroizing<String>>,
    blob_twice: bool,
}

impl<K> Clone for KmsKeyWrapper<K> {
    fn clone(&self) -> Self {
        Self {
            kms: Arc::clone(&self.kms),
            description: self.description.clone(),
            context_style: self.context_style,
            context: self.context.clone(),
            blob_twice: self.blob_twice,
        }
    }
}

impl<K: Kms> KmsKeyWrapper<K> {
    /// Creates a wrapper for the master key of `kms`.
    #[must_use]
    pub fn new(kms: K) -> Self {
        Self {
            kms: Arc::new(kms),
            description: MaterialDescription::default(),
            context_style: ContextStyle::default(),
            context: None,
            blob_twice: false,
        }
    }

    /// Sets the description, which is written into metadata and used to find the key again.
    #[must_use]
    pub fn with_description(mut self, description: MaterialDescription) -> Self {
        self.description = description;
        self
    }

    /// Sets the style of the encryption contexts written for Tencent's KMS.
    #[must_use]
    pub const fn with_context_style(mut self, style: ContextStyle) -> Self {
        self.context_style = style;
        self
    }

    /// Sets the encryption context that every object has, for services whose context does not
    /// follow from the material description, which are all but Tencent's. By default there is none.
    #[must_use]
    pub fn with_context(mut self, context: &str) -> Self {
        self.context = Some(Zeroizing::new(context.to_owned()));
        self
    }

    /// Sets the passphrase of oss2's `AliKMSProvider`, which is passed to Aliyun's KMS as
    /// [encryption context](Self::with_context): `{"x-passphrase":"…"}`, without any escaping
    /// (oss2 2.19.1, `crypto.py:314,332`).
    #[must_use]
    pub fn with_passphrase(self, passphrase: &str) -> Self {
        let context = Zeroizing::new(format!("{{\"x-passphrase\":\"{passphrase}\"}}"));
        self.with_context(&context)
    }

    /// Encodes `oss-v2` blobs in base64 a second time, as oss2 does and no other SDK. Reading
    /// detects this on its own.
    #[must_use]
    pub const fn with_blob_twice(mut self) -> Self {
        self.blob_twice = true;
        self
    }

    /// Returns the conventions of the service; `None` if its algorithm is not that of a KMS.
    fn convention(&self) -> Option<KmsConvention> {
        self.kms.algorithm().kms()
    }

    /// Returns the contexts to try on an envelope.
    fn contexts(&self, source: KmsContext, envelope: &Envelope) -> Vec<Option<Zeroizing<String>>> {
        match source {
            KmsContext::Constant => vec![self.context.clone()],
            KmsContext::Description => candidates(envelope.description())
                .into_iter()
                .map(|context| context.map(Zeroizing::new))
                .collect(),
        }
    }

    /// Decrypts one value with the first context that the service accepts, and moves that context
    /// to the front for the next value.
    fn decrypt(
        &self,
        form: BlobForm,
        wrapped: &[u8],
        contexts: &mut [Option<Zeroizing<String>>],
    ) -> Result<Zeroizing<String>, UnwrapError> {
        let blob = blob(form, wrapped).ok_or(UnwrapError::Failed)?;
        let mut outcome = Err(UnwrapError::Failed);
        for index in 0..contexts.len() {
            let context =
                contexts.get(index).and_then(Option::as_ref).map(|context| context.as_str());
            match self.kms.decrypt(&blob, context) {
                Ok(plaintext) => {
                    contexts.swap(0, index);
                    return Ok(plaintext);
                }
                Err(error @ KmsError::Refused(_)) => outcome = Err(error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        outcome
    }

    /// Encrypts one value, and returns the bytes that stand for its blob in metadata.
    fn encrypt(
        &self,
        form: BlobForm,
        plaintext: &str,
        context: Option<&str>,
        twice: bool,
    ) -> Result<Vec<u8>, WrapError> {
        let blob = self.kms.encrypt(plaintext, context).map_err(WrapError::Kms)?;
        match form {
            BlobForm::Text => Ok(blob.into_bytes()),
            BlobForm::Base64 => {
                let decoded = STANDARD.decode(&blob).map_err(|_| WrapError::Blob)?;
                Ok(if twice { blob.into_bytes() } else { decoded })
            }
        }
    }
}

/// Returns the blob in a header's decoded value.
///
/// If the service's blobs are base64, the header *is* the blob, so the value is encoded again. But
/// oss2 encodes the blob before writing the header, and then the value itself is base64. No Aliyun
/// blob decodes to base64, because it holds the key's UUID, which has dashes.
fn blob(form: BlobForm, wrapped: &[u8]) -> Option<String> {
    let text = || String::from_utf8(wrapped.to_vec()).ok();
    match form {
        BlobForm::Text => text(),
        BlobForm::Base64 if STANDARD.decode(wrapped).is_ok() => text(),
        BlobForm::Base64 => Some(STANDARD.encode(wrapped)),
    }
}

impl<K: Kms> KeyWrapper for KmsKeyWrapper<K> {
    fn description(&self) -> &MaterialDescription {
        &self.description
    }

    fn wraps(&self, algorithm: WrapAlgorithm) -> bool {
        algorithm == self.kms.algorithm()
    }

    fn accepts(&self, envelope: &Envelope) -> bool {
        envelope.wrap_algorithm() == self.kms.algorithm()
    }

    fn wrap(
        &self,
        key: &ContentKey,
        algorithm: WrapAlgorithm,
        form: IvForm,
    ) -> Result<WrappedKey, WrapError> {
        let KmsConvention { blob, context, .. } = self
            .convention()
            .filter(|_| algorithm == self.kms.algorithm())
            .ok_or(WrapError::Algorithm(algorithm))?;
        let context = match context {
            KmsContext::Constant => self.context.clone(),
            KmsContext::Description => {
                Some(Zeroizing::new(self.context_style.of(&self.description)))
            }
        };
        // The old dialect has only one way of encoding blobs.
        let twice = self.blob_twice && form != IvForm::WrappedDecimal;
        let context = context.as_ref().map(|context| context.as_str());
        let encrypt = |plaintext: &str| self.encrypt(blob, plaintext, context, twice);

        let cek = encrypt(&Zeroizing::new(STANDARD.encode(key.cek())))?;
        let iv = key.iv_plain(form);
        let iv = match form {
            IvForm::Clear => iv.to_vec(),
            IvForm::WrappedDecimal => {
                encrypt(std::str::from_utf8(&iv).map_err(|_| WrapError::Failed)?)?
            }
            _ => encrypt(&Zeroizing::new(STANDARD.encode(&*iv)))?,
        };
        Ok(WrappedKey { cek, iv })
    }

    fn unwrap(&self, envelope: &Envelope) -> Result<ContentKey, UnwrapError> {
        let KmsConvention { blob, context, .. } =
            self.convention().filter(|_| self.accepts(envelope)).ok_or(UnwrapError::Failed)?;
        let (content, form) = (envelope.content_algorithm(), envelope.dialect().iv_form());
        let mut contexts = self.contexts(context, envelope);
        // The buffer is wiped even if the text turns out not to be base64.
        let bytes = |text: Zeroizing<String>| {
            let mut bytes = Zeroizing::new(vec![0; text.len()]);
            let len = STANDARD.decode_slice(text.as_bytes(), &mut bytes).unwrap_or_default();
            bytes.truncate(len);
            bytes
        };
        let cek = bytes(self.decrypt(blob, envelope.wrapped_key(), &mut contexts)?);
        let iv = match form {
            IvForm::Clear => Zeroizing::new(envelope.iv().to_vec()),
            IvForm::WrappedDecimal => {
                let text = self.decrypt(blob, envelope.iv(), &mut contexts)?;
                Zeroizing::new(text.as_bytes().to_vec())
            }
            _ => bytes(self.decrypt(blob, envelope.iv(), &mut contexts)?),
        };
        Candidate::new(content, form, Some(&cek), Some(&iv))
            .decide(content)
            .ok_or(UnwrapError::Failed)
    }
}
