//! `cos-v2`: COS Java >= 5.6.50, COS Go >= 0.7.26 (KMS and CTR only), hadoop-cos (RSA and GCM).
//!
//! Names: COS Java 5.6.269 `Headers.java:243-334`, COS Go `crypto_type.go:13-22`. The header of the
//! tag length does not follow the naming scheme and is present for GCM only. CBC is read but never
//! written: it is vulnerable to padding oracles, and the SDK loses the last block of multipart
//! objects.

use super::{Field, IvForm, Row, Table};
use crate::{
    ContentAlgorithm::{Aes256Cbc, Aes256Ctr, Aes256Gcm},
    Vendor, WrapAlgorithm,
    encoding::Md5Form,
};

pub(super) const TABLE: Table = Table {
    id: "cos-v2",
    writers: "COS Java >= 5.6.50, COS Go, hadoop-cos",
    vendor: Vendor::Cos,
    iv: IvForm::Wrapped,
    md5: Md5Form::Base64,
    // COS Java uses -1 for a size that is not known yet (COSCryptoModuleBase.java:235-243).
    unknown_data_size: Some("-1"),
    in_headers: true,
    fields: &[
        (Field::Key, "x-cos-meta-client-side-encryption-key"),
        (Field::Iv, "x-cos-meta-client-side-encryption-start"),
        (Field::ContentAlgorithm, "x-cos-meta-client-side-encryption-cek-alg"),
        (Field::WrapAlgorithm, "x-cos-meta-client-side-encryption-wrap-alg"),
        (Field::Description, "x-cos-meta-client-side-encryption-matdesc"),
        (Field::TagLen, "x-cos-meta-x-cos-tag-len"),
        (Field::PlainLen, "x-cos-meta-client-side-encryption-unencrypted-content-length"),
        (Field::PlainMd5, "x-cos-meta-client-side-encryption-unencrypted-content-md5"),
        (Field::DataSize, "x-cos-meta-client-side-encryption-data-size"),
        (Field::PartSize, "x-cos-meta-client-side-encryption-part-size"),
        (Field::KeyCheck, "x-cos-meta-envelope-check"),
        (Field::Seal, "x-cos-meta-envelope-seal"),
    ],
    contents: &[
        Row::write(Aes256Ctr, "AES/CTR/NoPadding"),
        Row::write(Aes256Gcm, "AES/GCM/NoPadding"),
        Row::read(Aes256Cbc, "AES/CBC/PKCS5Padding"),
    ],
    wraps: &[
        Row::write(WrapAlgorithm::AesKeyWrap, "AESWrap"),
        Row::write(WrapAlgorithm::RsaOaepSha256, "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"),
        Row::write(WrapAlgorithm::KmsTencent, "KMS/TencentCloud"),
        // An extension of ours, named after neither vendor's service.
        Row::write(WrapAlgorithm::KmsCustom, "KMS/CUSTOM"),
    ],
};
