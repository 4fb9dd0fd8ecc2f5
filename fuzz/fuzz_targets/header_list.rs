//! Reading of arbitrary saved header lists must not panic, and what was read must be the same after
//! it was written as lines and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meta_codec::read_headers;

fuzz_target!(|list: &[u8]| {
    let Ok(headers) = read_headers(list) else { return };
    // JSON may have names and values that no line can have.
    let is_line = |(name, value): &(String, Vec<u8>)| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
            && !name.starts_with("HTTP/")
            && value.trim_ascii() == &value[..]
            && !value.contains(&b'\n')
            && !value.ends_with(b"\r")
    };
    // A first line that begins like JSON is taken for JSON.
    let first =
        headers.first().map_or(b'a', |(name, _)| name.as_bytes().first().copied().unwrap_or(b'a'));
    if !headers.iter().all(is_line) || first == b'{' || first == 0xef {
        return;
    }
    let mut lines = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in &headers {
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.extend_from_slice(b"\r\n");
    }
    assert_eq!(read_headers(&lines).unwrap(), headers);
});
