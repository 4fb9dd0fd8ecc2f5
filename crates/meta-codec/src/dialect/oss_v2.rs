//! `oss-v2`: every OSS SDK with client-side encryption.
//!
//! Names and algorithms: oss2 2.19.1 `headers.py:33-60`, aliyun-oss-go-sdk `oss/crypto`, measured
//! on ten writers. Only oss2's `LocalRsaProvider` writes OAEP, and no other SDK reads it. The
//! literal `rsa` of V1 is never valid here: the service would require a `magic-number-hmac`.

use super::{Field, IvForm, Row, Table};
use crate::{ContentAlgorithm::Aes256Ctr, Vendor, WrapAlgorithm, encoding::Md5Form};

pub(super) const TABLE: Table = Table {
    id: "oss-v2",
    writers: "every OSS SDK with client-side encryption (oss2 >= 2.11)",
    vendor: Vendor::Oss,
    iv: IvForm::Wrapped,
    md5: Md5Form::Base64,
    unknown_data_size: None,
    in_headers: true,
    fields: &[
        (Field::Key, "x-oss-meta-client-side-encryption-key"),
        (Field::Iv, "x-oss-meta-client-side-encryption-start"),
        (Field::ContentAlgorithm, "x-oss-meta-client-side-encryption-cek-alg"),
        (Field::WrapAlgorithm, "x-oss-meta-client-side-encryption-wrap-alg"),
        (Field::Description, "x-oss-meta-client-side-encryption-matdesc"),
        (Field::PlainLen, "x-oss-meta-client-side-encryption-unencrypted-content-length"),
        (Field::PlainMd5, "x-oss-meta-client-side-encryption-unencrypted-content-md5"),
        (Field::DataSize, "x-oss-meta-client-side-encryption-data-size"),
        (Field::PartSize, "x-oss-meta-client-side-encryption-part-size"),
        (Field::KeyCheck, "x-oss-meta-envelope-check"),
        (Field::Seal, "x-oss-meta-envelope-seal"),
    ],
    contents: &[Row::write(Aes256Ctr, "AES/CTR/NoPadding")],
    wraps: &[
        Row::write(WrapAlgorithm::RsaPkcs1v15, "RSA/NONE/PKCS1Padding"),
        Row::write(WrapAlgorithm::RsaOaepSha1, "RSA/NONE/OAEPWithSHA-1AndMGF1Padding"),
        Row::write(WrapAlgorithm::KmsAliyun, "KMS/ALICLOUD"),
        // An extension of ours, named after neither vendor's service.
        Row::write(WrapAlgorithm::KmsCustom, "KMS/CUSTOM"),
    ],
};
