//! `cos-legacy`: COS Java 5.4.3 to 5.6.49.
//!
//! The format of the Amazon S3 Encryption Client V2 with different names and a clear IV.
//! Recorded from cos-java-sdk-v5 12805a5, the last commit before the header change.

use super::{Field, IvForm, Row, Table};
use crate::{ContentAlgorithm::Aes256Gcm, Vendor, WrapAlgorithm, encoding::Md5Form};

pub(super) const TABLE: Table = Table {
    id: "cos-legacy",
    writers: "COS Java 5.4.3 to 5.6.49",
    vendor: Vendor::Cos,
    iv: IvForm::Clear,
    md5: Md5Form::Base64,
    unknown_data_size: None,
    in_headers: true,
    fields: &[
        (Field::Key, "x-cos-meta-x-cos-key-v2"),
        (Field::Iv, "x-cos-meta-x-cos-iv"),
        (Field::ContentAlgorithm, "x-cos-meta-x-cos-cek-alg"),
        (Field::WrapAlgorithm, "x-cos-meta-x-cos-wrap-alg"),
        (Field::Description, "x-cos-meta-x-cos-matdesc"),
        (Field::TagLen, "x-cos-meta-x-cos-tag-len"),
        (Field::PlainLen, "x-cos-meta-x-cos-unencrypted-content-length"),
        (Field::PlainMd5, "x-cos-meta-x-cos-unencrypted-content-md5"),
        (Field::KeyCheck, "x-cos-meta-envelope-check"),
        (Field::Seal, "x-cos-meta-envelope-seal"),
    ],
    contents: &[Row::read(Aes256Gcm, "AES/GCM/NoPadding")],
    wraps: &[
        Row::read(WrapAlgorithm::AesKeyWrap, "AESWrap"),
        Row::read(WrapAlgorithm::RsaOaepSha256, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"),
        Row::read(WrapAlgorithm::KmsTencent, "kms"),
    ],
};
