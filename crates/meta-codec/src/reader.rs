//! Which SDKs read an object.
//!
//! The table holds what was measured: every SDK was run on objects of every kind, and a test fails
//! if a rule here differs from what it did (`docs/interop.md`).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    ContentAlgorithm::{self, Aes256Cbc, Aes256Ctr, Aes256Gcm},
    Deviation, Dialect, Envelope,
    WrapAlgorithm::{
        self, AesCtrZero, AesKeyWrap, KmsAliyun, KmsTencent, RsaOaepSha1, RsaOaepSha256,
        RsaPkcs1v15, RsaUnstated,
    },
    description::go_text,
};

/// An SDK as a reader of objects.
///
/// ```
/// use meta_codec::{Reach, Reader, parse};
/// # let key = "A".repeat(342) + "==";
/// # let headers = [
/// #     ("x-oss-meta-client-side-encryption-key", key.as_str()),
/// #     ("x-oss-meta-client-side-encryption-start", key.as_str()),
/// #     ("x-oss-meta-client-side-encryption-cek-alg", "AES/CTR/NoPadding"),
/// #     ("x-oss-meta-client-side-encryption-wrap-alg", "RSA/NONE/PKCS1Padding"),
/// # ];
///
/// let envelope = parse(headers)?.expect("the object is encrypted");
/// let go = Reader::ALL.into_iter().find(|reader| reader.id() == "oss-go").expect("it is there");
/// assert_eq!(go.sdk(), "aliyun-oss-go-sdk");
/// assert_eq!(go.reach(&envelope), Some(Reach::Ranges));
/// assert!(envelope.readers().all(|(reader, _)| reader.id() != "oss-python-old"));
/// # Ok::<(), meta_codec::ParseError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Reader(&'static Row);

/// How much of an object a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else to read")]
pub enum Reach {
    /// The object as a whole, but no ranges of it.
    Whole,
    /// The object, and ranges with a first and a last byte. Many SDKs read others, such as
    /// `bytes=-16`, wrongly or not at all.
    Ranges,
}

struct Row {
    id: &'static str,
    sdk: &'static str,
    versions: &'static [&'static str],
    descriptions: Descriptions,
    /// The deviations of metadata that it reads past.
    reads_past: &'static [Deviation],
    rules: &'static [Rule],
}

/// What a reader that has the right master key does with its description.
#[derive(PartialEq, Eq)]
enum Descriptions {
    /// Compares maps, or takes no notice.
    Any,
    /// Compares texts with its own, which Go's `encoding/json` makes.
    GoText,
    /// Knows none.
    Absent,
}

/// Some objects that a reader reads.
struct Rule {
    dialect: Dialect,
    wraps: &'static [WrapAlgorithm],
    contents: &'static [ContentAlgorithm],
    reach: Reach,
    condition: Condition,
}

/// What else must be so.
#[derive(Clone, Copy)]
enum Condition {
    None,
    /// A blob of Aliyun's KMS is encoded in base64 once, as all SDKs but oss2 do.
    BlobOnce,
    /// A blob of Aliyun's KMS is encoded in base64 twice, as oss2 does.
    BlobTwice,
    /// The metadata states the length of the plaintext.
    Length,
    /// The object has no description.
    NoDescription,
}

impl Rule {
    const fn new(
        dialect: Dialect,
        wraps: &'static [WrapAlgorithm],
        contents: &'static [ContentAlgorithm],
        reach: Reach,
        condition: Condition,
    ) -> Self {
        Self { dialect, wraps, contents, reach, condition }
    }

    fn covers(&self, envelope: &Envelope) -> bool {
        self.dialect == envelope.dialect()
            && self.wraps.contains(&envelope.wrap_algorithm())
            && self.contents.contains(&envelope.content_algorithm())
            && self.condition.holds(envelope)
    }
}

impl Condition {
    fn holds(self, envelope: &Envelope) -> bool {
        let is_kms = envelope.wrap_algorithm() == KmsAliyun;
        let is_twice = || STANDARD.decode(envelope.wrapped_key()).is_ok();
        match self {
            Self::None => true,
            Self::BlobOnce => !is_kms || !is_twice(),
            Self::BlobTwice => !is_kms || is_twice(),
            Self::Length => envelope.plain_len().is_some(),
            Self::NoDescription => envelope.description().is_empty(),
        }
    }
}

const OSS_V2: Dialect = Dialect::OSS_V2;
const COS_V2: Dialect = Dialect::COS_V2;
/// What COS Java reads of `cos-v2` since 5.6.50, besides AES-GCM.
const COS_JAVA_WHOLE: Rule = Rule::new(
    COS_V2,
    &[AesKeyWrap, RsaOaepSha256, KmsTencent],
    &[Aes256Ctr, Aes256Cbc],
    Reach::Whole,
    Condition::None,
);
/// The objects of the OSS SDKs that know one kind of RSA padding.
const OSS_V2_RANGES: Rule =
    Rule::new(OSS_V2, &[RsaPkcs1v15, KmsAliyun], &[Aes256Ctr], Reach::Ranges, Condition::BlobOnce);

impl Reader {
    /// Every SDK that was run as a reader.
    pub const ALL: [Self; 12] = [
        Self(&Row {
            id: "oss-python-old",
            sdk: "oss2",
            versions: &["2.9.1"],
            descriptions: Descriptions::Any,
            reads_past: &[],
            rules: &[Rule::new(
                Dialect::OSS_V1,
                &[RsaOaepSha1, KmsAliyun],
                &[Aes256Ctr],
                Reach::Whole,
                Condition::None,
            )],
        }),
        Self(&Row {
            id: "oss-python",
            sdk: "oss2",
            versions: &["2.19.1"],
            descriptions: Descriptions::Any,
            reads_past: &[Deviation::ContentUnnamed],
            rules: &[
                Rule::new(
                    Dialect::OSS_V1,
                    &[RsaOaepSha1, KmsAliyun],
                    &[Aes256Ctr],
                    Reach::Ranges,
                    Condition::None,
                ),
                Rule::new(
                    OSS_V2,
                    &[RsaPkcs1v15, KmsAliyun],
                    &[Aes256Ctr],
                    Reach::Ranges,
                    Condition::BlobTwice,
                ),
                // `LocalRsaProvider` has no descriptions.
                Rule::new(
                    OSS_V2,
                    &[RsaOaepSha1],
                    &[Aes256Ctr],
                    Reach::Ranges,
                    Condition::NoDescription,
                ),
            ],
        }),
        Self(&Row {
            id: "oss-python-v2",
            sdk: "alibabacloud-oss-v2",
            versions: &["1.4.1"],
            descriptions: Descriptions::Any,
            reads_past: &[Deviation::DescriptionUnreadable],
            rules: &[OSS_V2_RANGES],
        }),
        Self(&Row {
            id: "oss-go",
            sdk: "aliyun-oss-go-sdk",
            versions: &["2.2.10", "3.0.2"],
            descriptions: Descriptions::GoText,
            reads_past: &[],
            rules: &[OSS_V2_RANGES],
        }),
        Self(&Row {
            id: "oss-go-v2",
            sdk: "alibabacloud-oss-go-sdk-v2",
            versions: &["1.6.1"],
            descriptions: Descriptions::Any,
            reads_past: &[Deviation::DescriptionUnreadable],
            rules: &[OSS_V2_RANGES],
        }),
        Self(&Row {
            id: "oss-java",
            sdk: "aliyun-sdk-oss",
            versions: &["3.18.4"],
            descriptions: Descriptions::Any,
            reads_past: &[Deviation::WrapNameCase],
            rules: &[OSS_V2_RANGES],
        }),
        Self(&Row {
            // This version has no keys in a KMS any more.
            id: "oss-java-new",
            sdk: "aliyun-sdk-oss",
            versions: &["3.18.5"],
            descriptions: Descriptions::Any,
            reads_past: &[Deviation::WrapNameCase],
            rules: &[Rule::new(
                OSS_V2,
                &[RsaPkcs1v15],
                &[Aes256Ctr],
                Reach::Ranges,
                Condition::None,
            )],
        }),
        Self(&Row {
            id: "cos-java",
            sdk: "cos_api",
            versions: &["5.6.265"],
            descriptions: Descriptions::Any,
            reads_past: &[],
            rules: &[
                COS_JAVA_WHOLE,
                Rule::new(
                    COS_V2,
                    &[RsaOaepSha256, KmsTencent],
                    &[Aes256Gcm],
                    Reach::Ranges,
                    Condition::None,
                ),
                Rule::new(
                    Dialect::COS_LEGACY,
                    &[AesKeyWrap, RsaOaepSha256, KmsTencent],
                    &[Aes256Gcm],
                    Reach::Whole,
                    Condition::None,
                ),
                Rule::new(
                    Dialect::COS_INSTRUCTION,
                    &[AesKeyWrap, RsaOaepSha256],
                    &[Aes256Ctr, Aes256Cbc],
                    Reach::Whole,
                    Condition::None,
                ),
                Rule::new(
                    Dialect::COS_INSTRUCTION,
                    &[AesKeyWrap, RsaOaepSha256],
                    &[Aes256Gcm],
                    Reach::Ranges,
                    Condition::None,
                ),
            ],
        }),
        Self(&Row {
            id: "cos-java-old",
            sdk: "cos_api",
            versions: &["5.4.10"],
            descriptions: Descriptions::Any,
            reads_past: &[],
            rules: &[
                Rule::new(
                    Dialect::COS_LEGACY,
                    &[AesKeyWrap, RsaOaepSha256],
                    &[Aes256Gcm],
                    Reach::Ranges,
                    Condition::None,
                ),
                Rule::new(
                    Dialect::COS_INSTRUCTION,
                    &[AesKeyWrap, RsaOaepSha256],
                    &[Aes256Gcm],
                    Reach::Ranges,
                    Condition::None,
                ),
            ],
        }),
        Self(&Row {
            id: "cos-go",
            sdk: "cos-go-sdk-v5",
            versions: &["0.7.75"],
            descriptions: Descriptions::GoText,
            reads_past: &[],
            rules: &[Rule::new(
                COS_V2,
                &[KmsTencent],
                &[Aes256Ctr],
                Reach::Ranges,
                Condition::None,
            )],
        }),
        Self(&Row {
            id: "cos-python",
            sdk: "cos-python-sdk-v5",
            versions: &["1.9.44"],
            descriptions: Descriptions::Absent,
            reads_past: &[],
            rules: &[Rule::new(
                Dialect::COS_V1,
                &[AesCtrZero, RsaUnstated],
                &[Aes256Ctr],
                Reach::Ranges,
                Condition::None,
            )],
        }),
        Self(&Row {
            id: "hadoop-cos",
            sdk: "hadoop-cos",
            versions: &["3.3.3-8.3.10"],
            descriptions: Descriptions::Absent,
            reads_past: &[],
            rules: &[Rule::new(
                COS_V2,
                &[RsaOaepSha256],
                &[Aes256Gcm],
                Reach::Ranges,
                Condition::Length,
            )],
        }),
    ];

    /// Returns the name of the reader, such as `oss-go`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.0.id
    }

    /// Returns the name of the SDK in its registry.
    #[must_use]
    pub const fn sdk(self) -> &'static str {
        self.0.sdk
    }

    /// Returns the versions that were run.
    #[must_use]
    pub const fn versions(self) -> &'static [&'static str] {
        self.0.versions
    }

    /// Returns how much of an object this SDK reads, or `None` if it cannot read it.
    ///
    /// The program that uses the SDK must have the master key, under the object's description.
    /// Neither the form of its key file nor the contexts of a KMS is taken into account.
    #[must_use]
    pub fn reach(self, envelope: &Envelope) -> Option<Reach> {
        let description = envelope.description();
        let is_known = match self.0.descriptions {
            Descriptions::Any => true,
            Descriptions::GoText => go_text(description.map()) == description.text(),
            Descriptions::Absent => description.is_empty(),
        };
        let rule = self.0.rules.iter().find(|rule| rule.covers(envelope));
        let is_past = envelope.deviations().iter().all(|it| self.0.reads_past.contains(it));
        rule.filter(|_| is_known && is_past).map(|rule| rule.reach)
    }
}

/// A way to write objects that a [reader](Reader::forms) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Form {
    /// The dialect of the metadata.
    pub dialect: Dialect,
    /// How the content key is wrapped.
    pub wrap: WrapAlgorithm,
    /// How the content is encrypted.
    pub content: ContentAlgorithm,
    /// How much of the object is read.
    pub reach: Reach,
    /// Whether the blob of a KMS is encoded in base64 twice, which only oss2 does and reads.
    pub blob_twice: bool,
    /// Whether the metadata must state the length of the plaintext.
    pub needs_len: bool,
    /// Whether the object may have a material description.
    pub allows_description: bool,
}

impl Form {
    /// Returns the form of which both readers read the objects, if both forms are one.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        let kind = |form: Self| (form.dialect, form.wrap, form.content, form.blob_twice);
        (kind(self) == kind(other)).then(|| Self {
            reach: self.reach.min(other.reach),
            needs_len: self.needs_len || other.needs_len,
            allows_description: self.allows_description && other.allows_description,
            ..self
        })
    }
}

impl Reader {
    /// Returns the ways to write objects so that this SDK reads them.
    ///
    /// ```
    /// use meta_codec::{ContentAlgorithm, Dialect, Reach, Reader};
    ///
    /// let hadoop = "hadoop-cos".parse::<Reader>()?;
    /// let form = hadoop.forms().next().expect("it reads something");
    /// assert_eq!((form.dialect, form.content), (Dialect::COS_V2, ContentAlgorithm::Aes256Gcm));
    /// assert!(form.needs_len && !form.allows_description && form.reach == Reach::Ranges);
    /// # Ok::<(), meta_codec::UnknownReader>(())
    /// ```
    pub fn forms(self) -> impl Iterator<Item = Form> {
        let allows_description = self.0.descriptions != Descriptions::Absent;
        let writable = |rule: &&Rule| rule.dialect.is_writable();
        self.0.rules.iter().filter(writable).flat_map(move |rule| {
            let wraps = rule.wraps.iter().copied();
            let pairs = wraps.flat_map(|wrap| rule.contents.iter().map(move |it| (wrap, *it)));
            let condition = rule.condition;
            pairs.filter(|(_, content)| *content != Aes256Cbc).map(move |(wrap, content)| Form {
                dialect: rule.dialect,
                wrap,
                content,
                reach: rule.reach,
                blob_twice: wrap == KmsAliyun && matches!(condition, Condition::BlobTwice),
                needs_len: matches!(condition, Condition::Length),
                allows_description: allows_description
                    && !matches!(condition, Condition::NoDescription),
            })
        })
    }
}

impl std::str::FromStr for Reader {
    type Err = UnknownReader;

    /// Parses the [name](Self::id) of a reader.
    fn from_str(id: &str) -> Result<Self, UnknownReader> {
        Self::ALL.into_iter().find(|reader| reader.id() == id).ok_or(UnknownReader)
    }
}

/// The error for a name that no reader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReader;

impl std::fmt::Display for UnknownReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no reader of this name; the readers are")?;
        let mut comma = " ";
        for reader in Reader::ALL {
            write!(f, "{comma}{}", reader.id())?;
            comma = ", ";
        }
        Ok(())
    }
}

impl std::error::Error for UnknownReader {}

impl PartialEq for Reader {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Reader {}

impl std::hash::Hash for Reader {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reader").field(&self.id()).finish()
    }
}

impl Envelope {
    /// Returns the SDKs that read the object, and how much of it.
    pub fn readers(&self) -> impl Iterator<Item = (Reader, Reach)> {
        Reader::ALL.into_iter().filter_map(|reader| Some((reader, reader.reach(self)?)))
    }
}
