//! What OSS enforces of encrypted objects (help.aliyun.com, 0005-000004xx).

use super::{
    answer::{Answer, coded},
    route::Call,
};

const PREFIX: &str = "x-oss-meta-client-side-encryption-";

/// The sizes that an upload was begun with.
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

/// An object in one request.
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

/// The beginning of a multipart upload; `None` if it is not encrypted.
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
        text.parse::<u64>().map_err(|_| broken(bad, &format!("{name} is no number")))
    };
    let (data_size, part_size) = (number("data-size", 406, 408)?, number("part-size", 407, 409)?);
    if part_size == 0 || data_size.div_ceil(part_size) > 10_000 {
        return Err(broken(410, "too many parts"));
    }
    let start = call.header(&format!("{PREFIX}start")).to_owned();
    Ok(Some(Announced { start, data_size, part_size }))
}

/// A part. Its own headers may be missing: the SDKs for C++ and Java send none.
pub(super) fn part(call: &Call, announced: &Announced, number: u64) -> Result<(), Answer> {
    let same = |name: &str, value: &str| {
        let said = call.header(&format!("{PREFIX}{name}"));
        said.is_empty() || said == value
    };
    if !same("start", &announced.start) {
        return Err(broken(413, "start is not that of the upload"));
    }
    let sizes = (announced.data_size.to_string(), announced.part_size.to_string());
    if !same("data-size", &sizes.0) || !same("part-size", &sizes.1) {
        return Err(broken(418, "a size is not that of the upload"));
    }
    let count = announced.data_size.div_ceil(announced.part_size);
    let len = call.body.len() as u64;
    if number < count && len != announced.part_size {
        return Err(broken(419, "a part is not of the part size"));
    }
    if number == count && len != announced.data_size - (count - 1) * announced.part_size {
        return Err(broken(420, "the last part is not what remains"));
    }
    Ok(())
}

pub(super) fn complete(announced: &Announced, parts: usize) -> Result<(), Answer> {
    if parts as u64 != announced.data_size.div_ceil(announced.part_size) {
        return Err(broken(411, "the client encryption part list is unexpected"));
    }
    Ok(())
}

/// A copy of an encrypted object with other metadata.
pub(super) fn copy() -> Answer {
    broken(421, "the metadata of an encrypted object cannot be changed")
}
