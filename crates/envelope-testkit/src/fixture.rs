//! Recorded objects, one directory per case; see `fixtures/README.md`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// A recorded object.
#[derive(Clone, Debug)]
pub struct Case {
    folder: PathBuf,
    facts: Value,
}

/// The expected outcome of decrypting a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Bytes other than the original, without an error: the SDK misused the keystream, which the
    /// format cannot reveal.
    Garbage,
    /// The recorded plaintext.
    Plain,
    /// An error: the SDK truncated the object.
    Refused,
}

/// A response of the KMS from the time a case was recorded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KmsAnswer {
    /// The blob.
    pub blob: String,
    /// The plaintext of the blob, as the service's text.
    pub plaintext: String,
    /// The encryption context that the service requires; `None` if it accepts any.
    pub context: Option<String>,
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let text = fs::read_to_string(folder.join("case.json")).expect("case.json");
        Self { facts: serde_json::from_str(&text).expect("case.json is JSON"), folder }
    }

    /// Returns the name of the directory, preceded by that of the writer.
    #[must_use]
    pub fn name(&self) -> String {
        let mut names = self.folder.iter().rev().take(2).map(|name| name.to_string_lossy());
        let (case, writer) = (names.next().expect("a case"), names.next().expect("a writer"));
        format!("{writer}/{case}")
    }

    /// Returns the path of one of the case's files.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Returns the headers as the text of a flat JSON object.
    #[must_use]
    pub fn headers(&self) -> String {
        fs::read_to_string(self.path("headers.json")).expect("headers.json")
    }

    /// Returns the text of the instruction file, if the keys are stored there.
    #[must_use]
    pub fn instruction(&self) -> Option<String> {
        fs::read_to_string(self.path("instruction.json")).ok()
    }

    /// Returns the stored body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        fs::read(self.path("cipher.bin")).expect("cipher.bin")
    }

    /// Returns the path of the key file.
    #[must_use]
    pub fn key(&self) -> Option<PathBuf> {
        self.fact("key").map(|key| self.folder.join(key))
    }

    /// Returns the passphrase of the key file.
    #[must_use]
    pub fn passphrase(&self) -> Option<String> {
        self.fact("passphrase")
    }

    /// Returns the vendor of the KMS that holds the master key: `aliyun`, `tencent` or `aws`.
    #[must_use]
    pub fn kms(&self) -> Option<String> {
        self.fact("kms")
    }

    /// Returns the recorded responses of that KMS.
    #[must_use]
    pub fn kms_answers(&self) -> Vec<KmsAnswer> {
        let text = fs::read_to_string(self.path("kms.json")).expect("kms.json");
        let answers: Value = serde_json::from_str(&text).expect("kms.json is JSON");
        let field = |answer: &Value, name: &str| {
            answer.get(name).and_then(Value::as_str).map(str::to_owned)
        };
        answers
            .as_array()
            .expect("a list")
            .iter()
            .map(|answer| KmsAnswer {
                blob: field(answer, "ciphertext_blob").expect("a blob"),
                plaintext: field(answer, "plaintext").expect("a plaintext"),
                context: field(answer, "encryption_context"),
            })
            .collect()
    }

    /// Returns the SHA-256 of the plaintext in hexadecimal.
    #[must_use]
    pub fn plain_sha256(&self) -> String {
        self.fact("plain_sha256").expect("plain_sha256")
    }

    /// Returns the length of the plaintext in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.facts.get("length").and_then(Value::as_u64).expect("length")
    }

    /// Returns whether the plaintext is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the expected outcome of decryption.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let name = self.name();
        match self.fact("expect").as_deref() {
            Some("corrupt") if name.ends_with("-CORRUPT") => Outcome::Garbage,
            Some("corrupt") => Outcome::Refused,
            _ => Outcome::Plain,
        }
    }

    fn fact(&self, name: &str) -> Option<String> {
        self.facts.get(name).and_then(Value::as_str).map(str::to_owned)
    }
}

/// Returns the path of `fixtures/` in the repository, or of a directory below it.
#[must_use]
pub fn folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(below)
}

/// Returns every recorded object in the repository.
#[must_use]
pub fn all_cases() -> Vec<Case> {
    cases_below(&folder(""))
}

/// Returns every recorded object below a directory, sorted by path.
#[must_use]
pub fn cases_below(top: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.join("case.json").is_file() {
            cases.push(Case::read(folder));
            continue;
        }
        let entries = fs::read_dir(&folder).expect("a readable directory");
        folders.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|p| p.is_dir()));
    }
    cases.sort_by(|a, b| a.folder.cmp(&b.folder));
    cases
}

/// Returns more recorded objects, from `../shared/vectors` beside the repository, or `None` if it
/// is absent. They are data files of the SDKs' own test suites, which are not copied here.
#[must_use]
pub fn sdk_vectors() -> Option<Vec<Case>> {
    let top = folder("../../shared/vectors");
    top.is_dir().then(|| cases_below(&top))
}
