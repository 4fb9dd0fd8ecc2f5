//! Rules that OSS enforces for encrypted objects (help.aliyun.com, 0005-000004xx).

use super::{
    answer::{Answer, coded},
    route::Call,
};

const PREFIX: &str = "x-oss-meta-client-side-encryption-";

/// The start value and sizes announced when a multipart upload was created.
#[derive(Clone, Debug, Default)]
pub(super) struct Announced {
    start: String,
    pub(super) data_size: u64,
    pub(super) part_size: u64,
}

fn broken(number: u32, words: &str) -> Answer {
    coded(400, "InvalidEncryptionRequest", words, &format!("0005-{number:08}"))
}

pub(super) fn is_encrypted(headers: &[(String, String)]) -> bool {
    headers.iter().any(|(name, _)| name.starts_with(PREFIX))
}

/// Checks an upload in one request.
pub(super) fn put(call: &Call) -> Result<(), Answer> {
    if !call.headers.keys().any(|name| name.starts_with(PREFIX)) {
        return Ok(());
    }
    let needed = [("key", 401), ("start", 402), ("cek-alg", 403), ("wrap-alg", 404)];
    for (name, number) in needed {
        if call.header(&format!("{PREFIX}{name}")).is_empty() {
            return Err(broken(number, &format!("{name} is missing")));
        }
    }
    Ok(())
}

/// Checks the creation of a multipart upload; returns `None` if it is not encrypted.
pub(super) fn initiate(call: &Call) -> Result<Option<Announced>, Answer> {
    put(call)?;
    if !call.headers.keys().any(|name| name.starts_with(PREFIX)) {
        return Ok(None);
    }
    let number = |name: &str, missing: u32, bad: u32| {
        let text = call.header(&format!("{PREFIX}{name}"));
        if text.is_empty() {
            return Err(broken(missing, &format!("{name} is missing")));
        }
        text.parse::<u64>().map_err(|_| broken(bad, &format!("{name} is not a number")))
    };
    let (data_size, part_size) = (number("data-size", 406, 408)?, number("part-size", 407, 409)?);
    if part_size == 0 || data_size.div_ceil(part_size) > 10_000 {
        return Err(broken(410, "too many parts"));
    }
    let start = call.header(&format!("{PREFIX}start")).to_owned();
    Ok(Some(Announced { start, data_size, part_size }))
}

/// Checks a part. Its encryption headers are optional: the SDKs for C++ and Java send none.
pub(super) fn part(call: &Call, announced: &Announced, number: u64) -> Result<(), Answer> {
    let same = |name: &str, value: &str| {
        let said = call.header(&format!("{PREFIX}{name}"));
        said.is_empty() || said == value
    };
    if !same("start", &announced.start) {
        return Err(broken(413, "start differs from that of the upload"));
    }
    let sizes = (announced.data_size.to_string(), announced.part_size.to_string());
    if !same("data-size", &sizes.0) || !same("part-size", &sizes.1) {
        return Err(broken(418, "a size differs from that of the upload"));
    }
    let count = announced.data_size.div_ceil(announced.part_size);
    let len = call.body.len() as u64;
    if number < count && len != announced.part_size {
        return Err(broken(419, "the part does not have the announced part size"));
    }
    if number == count && len != announced.data_size - (count - 1) * announced.part_size {
        return Err(broken(420, "the last part does not have the remaining size"));
    }
    Ok(())
}

pub(super) fn complete(announced: &Announced, parts: usize) -> Result<(), Answer> {
    if parts as u64 != announced.data_size.div_ceil(announced.part_size) {
        return Err(broken(411, "the client encryption part list is unexpected"));
    }
    Ok(())
}

/// Returns the error for copying an encrypted object with different metadata.
pub(super) fn copy() -> Answer {
    broken(421, "the metadata of an encrypted object cannot be changed")
}

/// Returns the error for copying a part from an encrypted object.
pub(super) fn copy_part() -> Answer {
    let words = "parts cannot be copied from an encrypted object";
    coded(400, "InvalidEncryptionRequest", words, "0042-00000309")
}
