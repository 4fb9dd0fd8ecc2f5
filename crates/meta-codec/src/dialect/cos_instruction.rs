//! `cos-instruction`: the instruction file of COS Java, all versions.
//!
//! The envelope is a JSON object stored separately as `<key>.instruction`
//! (`ContentCryptoMaterial.java:151-167`); the IV is in the clear. The encrypted object holds
//! only its plaintext length and MD5, under the names of `cos-v2` (>= 5.6.50) or `cos-legacy`.

use super::{Field, IvForm, Row, Table};
use crate::{
    ContentAlgorithm::{Aes256Cbc, Aes256Ctr, Aes256Gcm},
    Vendor, WrapAlgorithm,
    encoding::Md5Form,
};

pub(super) const TABLE: Table = Table {
    id: "cos-instruction",
    writers: "COS Java with instruction files",
    vendor: Vendor::Cos,
    iv: IvForm::Clear,
    md5: Md5Form::Base64,
    unknown_data_size: None,
    in_headers: false,
    fields: &[
        (Field::Key, "x-cos-key-v2"),
        (Field::Iv, "x-cos-iv"),
        (Field::ContentAlgorithm, "x-cos-cek-alg"),
        (Field::WrapAlgorithm, "x-cos-wrap-alg"),
        (Field::Description, "x-cos-matdesc"),
        (Field::TagLen, "x-cos-tag-len"),
        (Field::PlainLen, "x-cos-meta-client-side-encryption-unencrypted-content-length"),
        (Field::PlainLen, "x-cos-meta-x-cos-unencrypted-content-length"),
        (Field::PlainMd5, "x-cos-meta-client-side-encryption-unencrypted-content-md5"),
        (Field::PlainMd5, "x-cos-meta-x-cos-unencrypted-content-md5"),
    ],
    contents: &[
        Row::read(Aes256Ctr, "AES/CTR/NoPadding"),
        Row::read(Aes256Gcm, "AES/GCM/NoPadding"),
        Row::read(Aes256Cbc, "AES/CBC/PKCS5Padding"),
    ],
    wraps: &[
        Row::read(WrapAlgorithm::AesKeyWrap, "AESWrap"),
        Row::read(WrapAlgorithm::RsaOaepSha256, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"),
        Row::read(WrapAlgorithm::KmsTencent, "KMS/TencentCloud"),
        Row::read(WrapAlgorithm::KmsTencent, "kms"),
    ],
};
