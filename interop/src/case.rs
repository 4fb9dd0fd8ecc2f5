//! The objects that writers are asked for.

use meta_codec::Vendor;

/// The length of a plaintext that is uploaded in one request.
pub(crate) const SHORT: usize = 1000;
/// The length of a plaintext that is uploaded in parts. The last part is not full.
pub(crate) const LONG: usize = (5 << 20) + 12_345;
pub(crate) const PART_SIZE: u64 = 1 << 20;

/// What distinguishes an object besides its algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing.
    Plain,
    /// It has no bytes.
    Empty,
    /// It has a material description.
    Described,
    /// It has a material description with the characters that JSON writers escape differently.
    Special,
    /// `envelope` adds a key check.
    KeyCheck,
}

impl Shape {
    /// Returns the material description.
    pub(crate) const fn description(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Described => Some(("team", "billing")),
            Self::Special => Some(("a/b", "<c>&d")),
            Self::Plain | Self::Empty | Self::KeyCheck => None,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Empty => " empty",
            Self::Described => " described",
            Self::Special => " special",
            Self::KeyCheck => " key-check",
        }
    }
}

/// One object: how it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// `rsa`, `rsa-oaep`, `aes` or `kms`; of `envelope` also `kms-twice` (for oss2) and `kms-go`
    /// (for COS Go).
    pub(crate) wrap: &'static str,
    /// `ctr`, `gcm` or `cbc`.
    pub(crate) content: &'static str,
    /// `put`, `multipart`, `resumable` or `stream`.
    pub(crate) how: &'static str,
    /// `header` or `instruction`.
    pub(crate) storage: &'static str,
    pub(crate) shape: Shape,
    /// The dialect that `envelope` is asked for; SDKs have no choice.
    pub(crate) dialect: Option<&'static str>,
}

impl Case {
    pub(crate) const fn new(wrap: &'static str, content: &'static str, how: &'static str) -> Self {
        Self { wrap, content, how, storage: "header", shape: Shape::Plain, dialect: None }
    }

    const fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// Returns the name of the case, unique for each writer, such as `rsa ctr put described`.
    pub(crate) fn name(&self) -> String {
        let dialect = self.dialect.map(|dialect| format!("{dialect} ")).unwrap_or_default();
        let storage = if self.storage == "header" { "" } else { " instruction" };
        let Self { wrap, content, how, shape, .. } = self;
        format!("{dialect}{wrap} {content} {how}{storage}{}", shape.suffix())
    }

    /// Returns the length of the plaintext.
    pub(crate) fn len(&self) -> usize {
        match (self.shape, self.how) {
            (Shape::Empty, _) => 0,
            (_, "put") => SHORT,
            _ => LONG,
        }
    }
}

/// Returns the objects that every SDK of a vendor is asked for. What its interface lacks, a driver
/// says is unsupported.
pub(crate) fn of_sdks(vendor: Vendor) -> Vec<Case> {
    let (wraps, contents): (&[_], &[_]) = match vendor {
        Vendor::Oss => (&["rsa", "kms"], &["ctr"]),
        _ => (&["rsa", "aes", "kms"], &["ctr", "gcm", "cbc"]),
    };
    let mut cases = Vec::new();
    for wrap in wraps {
        for content in contents {
            cases.extend(of_algorithms(wrap, content));
        }
    }
    if vendor == Vendor::Oss {
        // The provider of oss2 that keeps its own key pair.
        cases.extend(of_algorithms("rsa-oaep", "ctr"));
    } else {
        let put = |content| Case { storage: "instruction", ..Case::new("rsa", content, "put") };
        cases.extend(["ctr", "gcm", "cbc"].map(put));
    }
    cases
}

/// Returns the objects that `envelope` is asked for.
pub(crate) fn of_envelope(vendor: Vendor) -> Vec<Case> {
    let variants: &[(&str, &str, &str)] = match vendor {
        Vendor::Oss => &[
            ("oss-v2", "rsa", "ctr"),
            ("oss-v2", "rsa-oaep", "ctr"),
            ("oss-v2", "kms", "ctr"),
            ("oss-v2", "kms-twice", "ctr"),
            ("oss-v1", "rsa", "ctr"),
            ("oss-v1", "kms", "ctr"),
        ],
        _ => &[
            ("cos-v2", "rsa", "ctr"),
            ("cos-v2", "rsa", "gcm"),
            ("cos-v2", "aes", "ctr"),
            ("cos-v2", "aes", "gcm"),
            ("cos-v2", "kms", "ctr"),
            ("cos-v2", "kms", "gcm"),
            ("cos-v2", "kms-go", "ctr"),
            ("cos-v1", "rsa", "ctr"),
            ("cos-v1", "aes", "ctr"),
        ],
    };
    let mut cases = Vec::new();
    for (dialect, wrap, content) in variants {
        let has_descriptions = dialect.ends_with("-v2");
        cases.extend(
            of_algorithms(wrap, content)
                .into_iter()
                .chain([Case::new(wrap, content, "put").shaped(Shape::KeyCheck)])
                // The command has one way to upload a file in parts.
                .filter(|case| case.how != "resumable")
                .filter(|case| has_descriptions || case.shape.description().is_none())
                .map(|case| Case { dialect: Some(dialect), ..case }),
        );
    }
    cases
}

fn of_algorithms(wrap: &'static str, content: &'static str) -> Vec<Case> {
    let put = Case::new(wrap, content, "put");
    vec![
        put,
        put.shaped(Shape::Empty),
        put.shaped(Shape::Described),
        put.shaped(Shape::Special),
        Case::new(wrap, content, "multipart"),
        Case::new(wrap, content, "resumable"),
        Case::new(wrap, content, "stream"),
    ]
}
