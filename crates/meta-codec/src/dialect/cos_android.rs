//! `cos-android`: COS Android >= 5.7.0.
//!
//! Uses the names of `cos-v2`, but `start` holds the 16 IV bytes in the clear
//! (`ContentCryptoMaterial.java:107-109`). A wrapped IV is never 16 bytes long, which distinguishes
//! the two. Derived from the source at 252230a and from synthetic objects.

use super::{Field, IvForm, Row, Table};
use crate::{ContentAlgorithm::Aes256Ctr, Vendor, WrapAlgorithm, encoding::Md5Form};

pub(super) const TABLE: Table = Table {
    id: "cos-android",
    writers: "COS Android",
    vendor: Vendor::Cos,
    iv: IvForm::Clear,
    md5: Md5Form::QuotedHex,
    unknown_data_size: None,
    in_headers: true,
    fields: &[
        (Field::Key, "x-cos-meta-client-side-encryption-key"),
        (Field::Iv, "x-cos-meta-client-side-encryption-start"),
        (Field::ContentAlgorithm, "x-cos-meta-client-side-encryption-cek-alg"),
        (Field::WrapAlgorithm, "x-cos-meta-client-side-encryption-wrap-alg"),
        (Field::Description, "x-cos-meta-client-side-encryption-matdesc"),
        (Field::PlainLen, "x-cos-meta-client-side-encryption-unencrypted-content-length"),
        (Field::PlainMd5, "x-cos-meta-client-side-encryption-unencrypted-content-md5"),
        (Field::KeyCheck, "x-cos-meta-envelope-check"),
        (Field::Seal, "x-cos-meta-envelope-seal"),
    ],
    contents: &[Row::read(Aes256Ctr, "AES/CTR/NoPadding")],
    wraps: &[
        Row::read(WrapAlgorithm::AesKeyWrap, "AESWrap"),
        Row::read(WrapAlgorithm::RsaOaepSha256, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"),
        Row::read(WrapAlgorithm::KmsTencent, "KMS/TencentCloud"),
    ],
};
