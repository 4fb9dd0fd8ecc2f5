//! An in-memory KMS for tests: a table of blobs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use meta_codec::{BlobForm, WrapAlgorithm};
use rand::{TryRng as _, rngs::SysRng};
use zeroize::Zeroizing;

use super::{Kms, KmsError};

/// A KMS that keeps plaintexts in a table. **It protects nothing**: use it in tests, and to open
/// recorded objects with recorded answers.
#[expect(missing_debug_implementations, reason = "holds plaintexts, which are not printed")]
pub struct MemoryKms {
    algorithm: WrapAlgorithm,
    table: Mutex<BTreeMap<String, Answer>>,
}

struct Answer {
    plaintext: Zeroizing<String>,
    context: Option<String>,
}

impl MemoryKms {
    /// Creates an empty table that stands in for the service of `algorithm`.
    #[must_use]
    pub const fn new(algorithm: WrapAlgorithm) -> Self {
        Self { algorithm, table: Mutex::new(BTreeMap::new()) }
    }

    /// Adds an answer: `blob` decrypts to `plaintext` with exactly this context, or with any
    /// context if `None` is given.
    #[must_use]
    pub fn with_answer(self, blob: &str, plaintext: &str, context: Option<&str>) -> Self {
        self.insert(blob.to_owned(), plaintext, context);
        self
    }

    fn insert(&self, blob: String, plaintext: &str, context: Option<&str>) {
        let answer = Answer {
            plaintext: Zeroizing::new(plaintext.to_owned()),
            context: context.map(str::to_owned),
        };
        self.table.lock().unwrap_or_else(PoisonError::into_inner).insert(blob, answer);
    }
}

impl Kms for MemoryKms {
    fn algorithm(&self) -> WrapAlgorithm {
        self.algorithm
    }

    fn encrypt(&self, plaintext: &str, context: Option<&str>) -> Result<String, KmsError> {
        let mut name = [0; 24];
        SysRng
            .try_fill_bytes(&mut name)
            .map_err(|_| KmsError::Unavailable("no randomness".into()))?;
        // Aliyun's blobs are base64 text whose content is not; Tencent's are not base64 at all.
        let name = format!("memory:{}", STANDARD.encode(name));
        let blob = match self.algorithm.kms().map(|convention| convention.blob) {
            Some(BlobForm::Base64) => STANDARD.encode(name),
            Some(BlobForm::Text) | None => name,
        };
        self.insert(blob.clone(), plaintext, Some(context.unwrap_or_default()));
        Ok(blob)
    }

    fn decrypt(&self, blob: &str, context: Option<&str>) -> Result<Zeroizing<String>, KmsError> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = table.get(blob).ok_or_else(|| KmsError::Refused("no such blob".to_owned()))?;
        match &answer.context {
            Some(want) if want != context.unwrap_or_default() => {
                Err(KmsError::Refused("different context".to_owned()))
            }
            _ => Ok(answer.plaintext.clone()),
        }
    }
}
