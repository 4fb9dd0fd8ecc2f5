//! Conditions of requests (RFC 9110, section 13).

use jiff::Timestamp;

use super::{
    super::{
        answer::{Answer, refusal},
        route::Call,
    },
    Kept,
};

/// Refuses to return an object that does not meet the conditions.
pub(super) fn of_reading(call: &Call, kept: &Kept) -> Result<(), Answer> {
    let written = kept.written.as_second();
    let date = |name: &str| {
        let text = call.header(name).replace(" GMT", " +0000");
        Timestamp::strptime("%a, %d %b %Y %H:%M:%S %z", &text).ok().map(Timestamp::as_second)
    };
    let failed = match call.header("if-match") {
        "" => date("if-unmodified-since").is_some_and(|date| written > date),
        tags => !names(tags, kept),
    };
    if failed {
        return Err(refusal(412, "PreconditionFailed", ""));
    }
    let is_known = match call.header("if-none-match") {
        "" => date("if-modified-since").is_some_and(|date| written <= date),
        tags => names(tags, kept),
    };
    if is_known {
        // It has no body.
        return Err(Answer { status: 304, ..Answer::default() });
    }
    Ok(())
}

/// Refuses to replace an object that does not meet the conditions, which S3 knows, and neither OSS
/// nor COS.
pub(super) fn of_writing(call: &Call, kept: Option<&Kept>) -> Result<(), Answer> {
    let (expected, unexpected) = (call.header("if-match"), call.header("if-none-match"));
    match kept {
        _ if !call.is_s3() => Ok(()),
        None if !expected.is_empty() => Err(refusal(404, "NoSuchKey", "")),
        Some(kept)
            if !expected.is_empty() && !names(expected, kept)
                || !unexpected.is_empty() && names(unexpected, kept) =>
        {
            Err(refusal(412, "PreconditionFailed", ""))
        }
        _ => Ok(()),
    }
}

/// Returns whether a list of entity tags has the one of the object.
fn names(tags: &str, kept: &Kept) -> bool {
    let own = kept.etag.trim_matches('"');
    tags == "*" || tags.split(',').any(|tag| tag.trim().trim_matches('"') == own)
}
