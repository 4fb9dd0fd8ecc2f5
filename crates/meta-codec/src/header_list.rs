//! Saved header lists: what `curl -I` printed, or a flat JSON object of names to values.

use crate::{DescriptionError, description::flat_json};

/// The names and values in a saved header list, in order, repeated names included.
///
/// Two forms are taken: a JSON object whose values are all strings, and the lines that `curl -I`
/// prints, with or without status lines. Where several responses follow each other (redirects,
/// `100 Continue`), the last one counts.
///
/// # Errors
/// Other JSON, or a line that is no header.
pub fn read_headers(text: &str) -> Result<Vec<(String, String)>, HeaderListError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        return Ok(flat_json(text)?);
    }
    let mut headers = Vec::new();
    let mut ended = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            ended = true;
            continue;
        }
        if line.starts_with("HTTP/") {
            headers.clear();
            ended = false;
            continue;
        }
        let header = line
            .split_once(':')
            .filter(|(name, _)| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
            })
            .filter(|_| !ended);
        let Some((name, value)) = header else {
            return Err(HeaderListError::Line(index.saturating_add(1)));
        };
        let value = value.trim_matches([' ', '\t']);
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(headers)
}

/// A text that is no header list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderListError {
    /// Not the JSON that it must be.
    #[error("not a flat JSON object of header names to values: {0}")]
    Json(#[from] DescriptionError),
    /// A line that is no header.
    #[error("line {0} is not a header")]
    Line(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn the_last_response_counts() {
        let text = "HTTP/1.1 301 Moved\r\nLocation: x\r\n\r\nHTTP/1.1 200 OK\r\nETag: \"a:b\" \r\nx-E:\r\n\r\n";
        assert_eq!(read_headers(text), Ok(pairs(&[("ETag", "\"a:b\""), ("x-E", "")])));
        assert_eq!(read_headers("a: b\n"), Ok(pairs(&[("a", "b")])));
        assert_eq!(read_headers(""), Ok(Vec::new()));
    }

    #[test]
    fn json_keeps_what_is_repeated() {
        assert_eq!(read_headers(r#" {"a":"1","a":"2"}"#), Ok(pairs(&[("a", "1"), ("a", "2")])));
        assert!(read_headers(r#"{"a":1}"#).is_err());
    }

    #[test]
    fn other_lines_are_refused() {
        for (bad, line) in
            [("a: b\nfoo\n", 2), ("a: b\n folded\n", 2), ("a b: c", 1), ("a: b\n\nc: d", 3)]
        {
            assert_eq!(read_headers(bad), Err(HeaderListError::Line(line)), "{bad:?}");
        }
    }
}
