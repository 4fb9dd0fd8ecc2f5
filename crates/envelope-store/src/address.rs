//! Object addresses: `oss://BUCKET/KEY`, `cos://BUCKET-APPID/KEY` and `file:FOLDER/KEY`.

use std::{fmt, str::FromStr};

use crate::Location;

/// A location and a key in it. The key may be empty, or a prefix of many keys.
///
/// ```
/// use envelope_store::Address;
///
/// let address: Address = "oss://bucket/a/key".parse()?;
/// assert_eq!(address.key, "a/key");
/// assert_eq!(address.to_string(), "oss://bucket/a/key");
/// # Ok::<(), envelope_store::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// The bucket or folder.
    pub location: Location,
    /// The key, without percent-encoding.
    pub key: String,
}

impl Address {
    /// Creates the address of an object.
    #[must_use]
    pub fn new(location: Location, key: impl Into<String>) -> Self {
        Self { location, key: key.into() }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (location, key) = Location::parse(text).ok_or(AddressError::Syntax)?;
        if let Location::Bucket(_, bucket) = &location {
            if !is_bucket_name(bucket) {
                return Err(AddressError::Bucket);
            }
            // URL libraries and proxies would normalize such keys.
            if key.starts_with('/') || key.split('/').any(|part| part == "." || part == "..") {
                return Err(AddressError::Key);
            }
            if key.len() > 1023 || key.chars().any(char::is_control) {
                return Err(AddressError::Key);
            }
        }
        Ok(Self::new(location, key))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.location, self.key)
    }
}

/// Returns whether a name can be that of a bucket. Any other could change the host of a request.
pub(crate) fn is_bucket_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(plain)
}

/// An error from parsing an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The bucket has characters other than lower-case letters, digits and hyphens.
    #[error("a bucket name consists of lower-case letters, digits and hyphens")]
    Bucket,
    /// A store, or an intermediary such as a proxy, would reject or alter the key.
    #[error(
        "a key has at most 1023 bytes, no control characters, and no `.` or `..` between slashes"
    )]
    Key,
    /// The address has none of the three forms.
    #[error("an address has the form oss://BUCKET/KEY, cos://BUCKET-APPID/KEY or file:FOLDER/KEY")]
    Syntax,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in
            ["oss://b/k", "cos://b-125/a/b c%20?#ü", "file:/tmp/x/k", "oss://b/", "file:d/k"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("oss://b".parse::<Address>().unwrap().key, "");
        let root = "file:/k".parse::<Address>().unwrap();
        assert_eq!((root.location, root.key.as_str()), (Location::Folder("/".into()), "k"));
    }

    #[test]
    fn refused() {
        use AddressError::{Bucket, Key, Syntax};
        for (text, error) in [
            ("", Syntax),
            ("file.txt", Syntax),
            ("s3://b/k", Syntax),
            ("file:k", Syntax),
            ("oss:///k", Bucket),
            ("oss://B/k", Bucket),
            ("oss://b@evil.com/k", Bucket),
            ("cos://b.evil/k", Bucket),
            ("oss://b//k", Key),
            ("oss://b/a/../k", Key),
            ("oss://b/a\nb", Key),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
        assert_eq!(format!("oss://b/{}", "k".repeat(1024)).parse::<Address>(), Err(Key));
    }
}
