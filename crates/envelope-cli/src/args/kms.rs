//! The arguments that name a master key in a KMS.

use std::{path::PathBuf, str::FromStr};

use envelope_kms::Endpoint;

/// A master key in a KMS. The access key comes from the environment: ALIBABA_CLOUD_ACCESS_KEY_ID,
/// ALIBABA_CLOUD_ACCESS_KEY_SECRET and ALIBABA_CLOUD_SECURITY_TOKEN, or TENCENTCLOUD_SECRET_ID,
/// TENCENTCLOUD_SECRET_KEY and TENCENTCLOUD_TOKEN.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Kms {
    /// The KMS that holds the master key: `aliyun:REGION` or `tencent:REGION`, and to encrypt
    /// `:KEY_ID` behind it. The access key comes from the environment: ALIBABA_CLOUD_ACCESS_KEY_ID and
    /// _SECRET (and ALIBABA_CLOUD_SECURITY_TOKEN), or TENCENTCLOUD_SECRET_ID and _KEY (and
    /// TENCENTCLOUD_TOKEN).
    #[arg(long, value_name = "VENDOR:REGION[:KEY_ID]")]
    pub(crate) kms: Option<KmsName>,
    /// Another endpoint of the KMS, such as `https://kms-vpc.cn-hangzhou.aliyuncs.com`.
    #[arg(long, value_name = "URL")]
    pub(crate) kms_endpoint: Option<Endpoint>,
    /// The file with the passphrase that oss2's AliKMSProvider was given; it is an encryption context.
    #[arg(long, value_name = "FILE")]
    pub(crate) kms_passphrase_file: Option<PathBuf>,
}

/// The master key, in a KMS, that a content key is wrapped anew with.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ToKms {
    /// The KMS that holds the new master key.
    #[arg(long, value_name = "VENDOR:REGION:KEY_ID")]
    pub(crate) to_kms: Option<KmsName>,
    /// Another endpoint of the new KMS.
    #[arg(long, value_name = "URL")]
    pub(crate) to_kms_endpoint: Option<Endpoint>,
    /// The file with the passphrase that oss2's AliKMSProvider will be given to read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) to_kms_passphrase_file: Option<PathBuf>,
}

/// How a KMS wraps.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct KmsStyle {
    /// Write oss-v2 blobs in base64 once more, as oss2 does and reads, and no other SDK.
    #[arg(long)]
    pub(crate) kms_blob_twice: bool,
    /// Write cos-v2 encryption contexts as COS Go makes and sends them, instead of COS Java.
    #[arg(long)]
    pub(crate) kms_context_go: bool,
}

/// Whose KMS, where, and which master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KmsName {
    pub(crate) vendor: KmsVendor,
    pub(crate) region: String,
    pub(crate) key_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KmsVendor {
    Aliyun,
    Tencent,
}

impl FromStr for KmsName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it must be aliyun:REGION[:KEY_ID] or tencent:REGION[:KEY_ID]".to_owned();
        let mut pieces = text.splitn(3, ':');
        let vendor = match pieces.next() {
            Some("aliyun") => KmsVendor::Aliyun,
            Some("tencent") => KmsVendor::Tencent,
            _ => return Err(wrong()),
        };
        let region = pieces.next().ok_or_else(wrong)?.to_owned();
        let key_id = pieces.next().map(str::to_owned);
        if key_id.as_ref().is_some_and(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self { vendor, region, key_id })
    }
}
