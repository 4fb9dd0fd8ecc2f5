//! Arguments that name a master key in a KMS.

use std::{num::NonZeroU32, path::PathBuf};

use envelope_kms::{Endpoint, KmsAddress};

/// A master key in a KMS. The access key is read from the environment: ALIBABA_CLOUD_ACCESS_KEY_ID,
/// ALIBABA_CLOUD_ACCESS_KEY_SECRET and ALIBABA_CLOUD_SECURITY_TOKEN, or TENCENTCLOUD_SECRET_ID,
/// TENCENTCLOUD_SECRET_KEY and TENCENTCLOUD_TOKEN.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Kms {
    /// The KMS that holds the master key: `aliyun:REGION` or `tencent:REGION`, followed by
    /// `:KEY_ID` for encryption. The access key is read from the environment:
    /// ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET (and ALIBABA_CLOUD_SECURITY_TOKEN), or
    /// TENCENTCLOUD_SECRET_ID and _KEY (and TENCENTCLOUD_TOKEN).
    #[arg(long, value_name = "VENDOR:REGION[:KEY_ID]")]
    pub(crate) kms: Option<KmsAddress>,
    /// The endpoint to use instead of the default one, such as
    /// `https://kms-vpc.cn-hangzhou.aliyuncs.com`.
    #[arg(long, value_name = "URL")]
    pub(crate) kms_endpoint: Option<Endpoint>,
    /// The file that holds the passphrase given to oss2's AliKMSProvider, which uses it as the
    /// encryption context.
    #[arg(long, value_name = "FILE")]
    pub(crate) kms_passphrase_file: Option<PathBuf>,
    /// The maximum number of calls to the KMS per second.
    #[arg(long, value_name = "N", requires = "kms")]
    pub(crate) kms_rate: Option<NonZeroU32>,
}

/// The master key in a KMS under which a content key is rewrapped.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ToKms {
    /// The KMS that holds the new master key.
    #[arg(long, value_name = "VENDOR:REGION:KEY_ID")]
    pub(crate) to_kms: Option<KmsAddress>,
    /// The endpoint of the new KMS to use instead of the default one.
    #[arg(long, value_name = "URL")]
    pub(crate) to_kms_endpoint: Option<Endpoint>,
    /// The file that holds the passphrase to be given to oss2's AliKMSProvider when it reads the
    /// object.
    #[arg(long, value_name = "FILE")]
    pub(crate) to_kms_passphrase_file: Option<PathBuf>,
    /// The maximum number of calls to the new KMS per second.
    #[arg(long, value_name = "N", requires = "to_kms")]
    pub(crate) to_kms_rate: Option<NonZeroU32>,
}

/// Variants of the KMS wrap formats.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct KmsStyle {
    /// Encode oss-v2 blobs in base64 twice, as oss2, and no other SDK, writes and reads them.
    #[arg(long)]
    pub(crate) kms_blob_twice: bool,
    /// Form and send cos-v2 encryption contexts as COS Go does, instead of COS Java.
    #[arg(long)]
    pub(crate) kms_context_go: bool,
}
