//! Saved header lists: the output of `curl -I` or a flat JSON object of names to values.

use crate::{DescriptionError, description::flat_json};

/// Reads the names and values of a saved header list, in order and including duplicates.
///
/// Two formats are accepted: a JSON object whose values are all strings, and the lines that
/// `curl -I` prints, with or without status lines. If several responses follow each other
/// (redirects, `100 Continue`), the last one is used, and it must be successful. Values are bytes,
/// because unrelated headers may contain any bytes.
///
/// ```
/// use meta_codec::{parse, read_headers};
///
/// let saved = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n"; // of `curl -I`
/// let headers = read_headers(saved)?;
/// assert_eq!(headers, [("Content-Type".to_owned(), b"image/jpeg".to_vec())]);
/// assert_eq!(parse(headers)?, None); // not encrypted
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Fails on other JSON, on a line that is not a header, or if the last response is not successful.
pub fn read_headers(list: &[u8]) -> Result<Vec<(String, Vec<u8>)>, HeaderListError> {
    let list = list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list);
    if list.trim_ascii_start().starts_with(b"{") {
        let text = std::str::from_utf8(list).map_err(|_| HeaderListError::NotUtf8)?;
        let entries = flat_json::<String>(text)?;
        return Ok(entries.into_iter().map(|(name, value)| (name, value.into_bytes())).collect());
    }
    let mut headers = Vec::new();
    let mut ended = false;
    let mut failed = None;
    for (index, line) in list.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            ended = true;
            continue;
        }
        if let Some(rest) = line.strip_prefix(b"HTTP/") {
            headers.clear();
            ended = false;
            let status = status(rest).ok_or(HeaderListError::Line(index.saturating_add(1)))?;
            failed = Some(status).filter(|status| !(200..300).contains(status));
            continue;
        }
        let Some((name, value)) = header(line).filter(|_| !ended) else {
            return Err(HeaderListError::Line(index.saturating_add(1)));
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    match failed {
        Some(status) => Err(HeaderListError::Status(status)),
        None => Ok(headers),
    }
}

/// Splits a line into its name and value, and trims whitespace around the value.
fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':').filter(|colon| *colon > 0)?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = std::str::from_utf8(name).ok()?;
    let value = value.strip_prefix(b":")?.trim_ascii();
    name.bytes().all(|byte| byte.is_ascii_graphic()).then_some((name, value))
}

/// Returns the status code of a status line, without its `HTTP/`.
fn status(line: &[u8]) -> Option<u16> {
    let text =
        line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).nth(1)?;
    std::str::from_utf8(text).ok()?.parse().ok().filter(|status| (100..1000).contains(status))
}

/// An error from reading a saved header list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderListError {
    /// JSON other than an object whose values are all strings.
    #[error("not a flat JSON object of header names to values")]
    Json(#[from] DescriptionError),
    /// A line that is not a header.
    #[error("line {0} is not a header")]
    Line(usize),
    /// JSON that is not UTF-8.
    #[error("not UTF-8 text")]
    NotUtf8,
    /// The headers of an unsuccessful response, which do not describe an object.
    #[error("the response is unsuccessful, with status {0}")]
    Status(u16),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn the_last_response_counts() {
        let text = b"HTTP/1.1 301 Moved\r\nLocation: x\r\n\r\n\
            HTTP/1.1 200 OK\r\nETag: \"a:b\" \r\nx-E:\r\n\r\n";
        assert_eq!(read_headers(text), Ok(pairs(&[("ETag", "\"a:b\""), ("x-E", "")])));
        assert_eq!(read_headers(b"a: b\n"), Ok(pairs(&[("a", "b")])));
        assert_eq!(read_headers(b""), Ok(Vec::new()));
    }

    #[test]
    fn json_keeps_what_is_repeated() {
        assert_eq!(read_headers(br#" {"a":"1","a":"2"}"#), Ok(pairs(&[("a", "1"), ("a", "2")])));
        assert!(read_headers(br#"{"a":1}"#).is_err());
    }

    #[test]
    fn other_lines_are_refused() {
        let bad =
            [("a: b\nfoo\n", 2), ("a: b\n folded: x\n", 2), ("a b: c", 1), ("a: b\n\nc: d", 3)];
        for (bad, line) in bad {
            assert_eq!(read_headers(bad.as_bytes()), Err(HeaderListError::Line(line)), "{bad:?}");
        }
    }

    #[test]
    fn errors_are_no_objects_and_bytes_of_others_do_not_matter() {
        let missing = b"HTTP/1.1 404 Not Found\r\na: b\r\n";
        assert_eq!(read_headers(missing), Err(HeaderListError::Status(404)));
        let moved = b"HTTP/2 302\na: b\n\nHTTP/2 200\nc: \xff\n";
        assert_eq!(read_headers(moved), Ok(vec![("c".into(), vec![0xff])]));
        assert_eq!(read_headers(b"{\"a\":\"\xff\"}"), Err(HeaderListError::NotUtf8));
        // A reason may be in any encoding.
        assert!(read_headers(b"HTTP/1.1 200 \xe5\n").is_ok());
        assert_eq!(read_headers(b"HTTP/1.1 404 \xe5\n"), Err(HeaderListError::Status(404)));
        // Where there is no status, nobody knows whether the response was successful.
        for bad in [
            "HTTP/1.1",
            "HTTP/",
            "HTTP/1.1 ",
            "HTTP/1.1 OK",
            "HTTP/1.1 4o4",
            "HTTP/1.1 -200",
            "HTTP/1.1 0",
            "HTTP/1.1 99",
            "HTTP/1.1 65736",
        ] {
            let text = format!("{bad}\na: b\n");
            assert_eq!(read_headers(text.as_bytes()), Err(HeaderListError::Line(1)), "{bad}");
        }
    }
}
