//! Recorded objects: one folder a case, see `fixtures/README.md`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// One recorded object.
#[derive(Clone, Debug)]
pub struct Case {
    folder: PathBuf,
    facts: Value,
}

/// What must come of an attempt to decrypt a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The SDK misused the keystream. The format cannot show it: other bytes than the original come
    /// out, without an error.
    Garbage,
    /// The plaintext that was recorded.
    Plain,
    /// An error: the SDK cut the object.
    Refused,
}

/// An answer that a KMS gave while a case was recorded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KmsAnswer {
    /// The blob.
    pub blob: String,
    /// What it decrypts to, as the service's text.
    pub plaintext: String,
    /// The encryption context that the service wants again; `None` for any.
    pub context: Option<String>,
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let text = fs::read_to_string(folder.join("case.json")).expect("case.json");
        Self { facts: serde_json::from_str(&text).expect("case.json is JSON"), folder }
    }

    /// The folder's name, with that of the writer before it.
    #[must_use]
    pub fn name(&self) -> String {
        let mut names = self.folder.iter().rev().take(2).map(|name| name.to_string_lossy());
        let (case, writer) = (names.next().expect("a folder"), names.next().expect("a writer"));
        format!("{writer}/{case}")
    }

    /// The path of one of the case's files.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The headers, as text: a flat JSON object.
    #[must_use]
    pub fn headers(&self) -> String {
        fs::read_to_string(self.path("headers.json")).expect("headers.json")
    }

    /// The instruction file's text, if the keys are there.
    #[must_use]
    pub fn instruction(&self) -> Option<String> {
        fs::read_to_string(self.path("instruction.json")).ok()
    }

    /// The stored body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        fs::read(self.path("cipher.bin")).expect("cipher.bin")
    }

    /// The path of the key file.
    #[must_use]
    pub fn key(&self) -> Option<PathBuf> {
        self.fact("key").map(|key| self.folder.join(key))
    }

    /// The passphrase of the key file.
    #[must_use]
    pub fn passphrase(&self) -> Option<String> {
        self.fact("passphrase")
    }

    /// Whose KMS holds the master key: `aliyun`, `tencent` or `aws`.
    #[must_use]
    pub fn kms(&self) -> Option<String> {
        self.fact("kms")
    }

    /// The answers of that KMS.
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

    /// The SHA-256 of the plaintext, in hexadecimal.
    #[must_use]
    pub fn plain_sha256(&self) -> String {
        self.fact("plain_sha256").expect("plain_sha256")
    }

    /// The length of the plaintext, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.facts.get("length").and_then(Value::as_u64).expect("length")
    }

    /// Whether the plaintext is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What must come of it.
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

/// The folder `fixtures/` of the repository, or one below it.
#[must_use]
pub fn folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(below)
}

/// Every recorded object of the repository.
#[must_use]
pub fn all_cases() -> Vec<Case> {
    cases_below(&folder(""))
}

/// Every recorded object below a folder, sorted by path.
#[must_use]
pub fn cases_below(top: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.join("case.json").is_file() {
            cases.push(Case::read(folder));
            continue;
        }
        let entries = fs::read_dir(&folder).expect("a folder");
        folders.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|p| p.is_dir()));
    }
    cases.sort_by(|a, b| a.folder.cmp(&b.folder));
    cases
}

/// More recorded objects beside the repository, `../shared/vectors`, which may be absent: data files
/// of the SDKs' own test suites are there, which are not copied here.
#[must_use]
pub fn sdk_vectors() -> Option<Vec<Case>> {
    let top = folder("../../shared/vectors");
    top.is_dir().then(|| cases_below(&top))
}
