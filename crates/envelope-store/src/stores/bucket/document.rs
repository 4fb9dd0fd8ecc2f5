//! The bodies of responses that are documents, and the errors of the transport.

use std::{error::Error as _, time::Duration};

use super::transmit::next_chunk;
use crate::StoreError;

/// Maximum length of an XML document, in bytes.
const MAX_TEXT: usize = 8 << 20;

/// Formats the causes of a transport error. The URL holds no secrets, but is omitted because it is
/// long.
pub(super) fn words(error: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    if words.is_empty() { "the connection failed".to_owned() } else { words }
}

/// The error for a header or a key that no URL can have.
pub(super) fn malformed_url() -> StoreError {
    StoreError::Malformed("the key or a header cannot be in a URL".to_owned())
}

/// Reads a document of limited length.
pub(super) async fn read_text(
    mut response: reqwest::Response,
    stall: Duration,
) -> Result<String, StoreError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut response, stall).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_TEXT {
            return Err(StoreError::Malformed("the document is too long".to_owned()));
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| StoreError::Malformed("the document is not UTF-8".to_owned()))
}
