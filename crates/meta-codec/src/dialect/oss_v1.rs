//! `oss-v1`: oss2 (Python) 2.5.0 to 2.10.0.
//!
//! There are two pitfalls. First, `AES/GCM/NoPadding` is a misnomer: the content is AES-CTR without
//! an authentication tag (oss2 2.9.1 `utils.py:539,570`), so the name maps to CTR in this table and
//! nowhere else. Second, the IV is the counter as decimal text, and that text is what is wrapped.
//! The description's header is the one that oss2 >= 2.11 reads (`models.py`); 2.5 to 2.10 wrote
//! none.

use super::{Field, IvForm, Row, Table};
use crate::{ContentAlgorithm::Aes256Ctr, Vendor, WrapAlgorithm, encoding::Md5Form};

pub(super) const TABLE: Table = Table {
    id: "oss-v1",
    writers: "oss2 2.5 to 2.10",
    vendor: Vendor::Oss,
    iv: IvForm::WrappedDecimal,
    md5: Md5Form::Base64,
    unknown_data_size: None,
    in_headers: true,
    fields: &[
        (Field::Key, "x-oss-meta-oss-crypto-key"),
        (Field::Iv, "x-oss-meta-oss-crypto-start"),
        (Field::ContentAlgorithm, "x-oss-meta-oss-cek-alg"),
        (Field::WrapAlgorithm, "x-oss-meta-oss-wrap-alg"),
        (Field::Description, "x-oss-meta-oss-crypto-matdesc"),
        (Field::PlainLen, "x-oss-meta-unencrypted-content-length"),
        (Field::PlainMd5, "x-oss-meta-unencrypted-content-md5"),
        (Field::KeyCheck, "x-oss-meta-envelope-check"),
        (Field::Seal, "x-oss-meta-envelope-seal"),
    ],
    contents: &[Row::write(Aes256Ctr, "AES/GCM/NoPadding")],
    wraps: &[
        Row::write(WrapAlgorithm::RsaOaepSha1, "rsa"),
        Row::write(WrapAlgorithm::KmsAliyun, "kms"),
        // An extension of ours, named after neither vendor's service.
        Row::write(WrapAlgorithm::KmsCustom, "KMS/CUSTOM"),
    ],
};
