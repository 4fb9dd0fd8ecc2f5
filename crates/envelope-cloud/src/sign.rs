//! The building blocks of request signatures, which the clients of stores and of key management
//! services share.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Returns the HMAC-SHA-256 of a message.
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // HMAC accepts keys of any length, so this cannot fail.
    let mut out = Zeroizing::new([0; 32]);
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(message);
        out.copy_from_slice(&mac.finalize().into_bytes());
    }
    out
}

/// Returns the HMAC-SHA-1 of a message.
#[must_use]
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    if let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) {
        mac.update(message);
        out.copy_from_slice(&mac.finalize().into_bytes());
    }
    out
}

/// Returns the SHA-256 of a message in hexadecimal.
#[must_use]
pub fn sha256_hex(message: &[u8]) -> String {
    hex(&Sha256::digest(message))
}

/// Returns bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Appends a text, of which everything except the unreserved characters of RFC 3986 is
/// percent-encoded.
pub fn percent(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
}

/// Returns the query string, sorted by name. The buffer is wiped because it may hold a plaintext,
/// and allocated at its maximum size because growing it would leave copies behind.
#[must_use]
pub fn query(parameters: &mut [(&str, &str)]) -> Zeroizing<String> {
    parameters.sort_unstable();
    let most = parameters.iter().map(|(name, value)| (name.len() + value.len()) * 3 + 2).sum();
    let mut query = Zeroizing::new(String::with_capacity(most));
    for (name, value) in parameters.iter() {
        if !query.is_empty() {
            query.push('&');
        }
        percent(name, &mut query);
        query.push('=');
        percent(value, &mut query);
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_sorted_and_encoded() {
        let query = query(&mut [("b", "a b*~+/="), ("a", "é")]);
        assert_eq!(query.as_str(), "a=%C3%A9&b=a%20b%2A~%2B%2F%3D");
    }

    #[test]
    fn rfc_4231_test_case_2() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&mac[..8]), "5bdcc146bf60754e");
        // RFC 2202, test case 2.
        let mac = hmac_sha1(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    }
}
