//! `cos-v1`: COS Python (cos-python-sdk-v5 >= 1.8.5).
//!
//! Two headers and no algorithm names (`crypto.py:353-363`). The length of the wrapped key
//! distinguishes an AES master key (32 bytes) from RSA (the modulus length); nothing distinguishes
//! the two RSA paddings.

use super::{Field, IvForm, Row, Table};
use crate::{ContentAlgorithm::Aes256Ctr, Vendor, WrapAlgorithm, encoding::Md5Form};

pub(super) const TABLE: Table = Table {
    id: "cos-v1",
    writers: "COS Python",
    vendor: Vendor::Cos,
    iv: IvForm::Wrapped,
    md5: Md5Form::Base64,
    unknown_data_size: None,
    in_headers: true,
    fields: &[
        (Field::Key, "x-cos-meta-client-side-encryption-key"),
        (Field::Iv, "x-cos-meta-client-side-encryption-iv"),
        (Field::KeyCheck, "x-cos-meta-envelope-check"),
        (Field::Seal, "x-cos-meta-envelope-seal"),
    ],
    contents: &[Row::write(Aes256Ctr, "")],
    wraps: &[Row::write(WrapAlgorithm::AesCtrZero, ""), Row::write(WrapAlgorithm::RsaUnstated, "")],
};
