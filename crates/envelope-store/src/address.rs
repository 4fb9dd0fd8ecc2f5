//! Object addresses: `oss://BUCKET/KEY`, `cos://BUCKET-APPID/KEY` and `file:FOLDER/KEY`.

use std::{fmt, path::PathBuf, str::FromStr};

/// A place and a key in it. The key may be empty, or a prefix of many keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The bucket or folder.
    pub place: Place,
    /// The key, without percent-encoding.
    pub key: String,
}

/// A bucket or a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// A bucket of Tencent COS, with its APPID.
    Cos(String),
    /// A local folder.
    Folder(PathBuf),
    /// A bucket of Aliyun OSS.
    Oss(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("file:") {
            // The last component is the key; a folder ends with a slash.
            let (folder, key) = path.rsplit_once('/').ok_or(AddressError::Syntax)?;
            let folder = if folder.is_empty() { "/" } else { folder };
            return Ok(Self { place: Place::Folder(folder.into()), key: key.to_owned() });
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Syntax)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if bucket.is_empty() || !bucket.bytes().all(plain) {
            return Err(AddressError::Bucket);
        }
        // URL libraries and proxies would normalize such keys.
        if key.starts_with('/') || key.split('/').any(|part| part == "." || part == "..") {
            return Err(AddressError::Key);
        }
        if key.len() > 1023 || key.chars().any(char::is_control) {
            return Err(AddressError::Key);
        }
        let place = match scheme {
            "oss" => Place::Oss(bucket.to_owned()),
            "cos" => Place::Cos(bucket.to_owned()),
            _ => return Err(AddressError::Syntax),
        };
        Ok(Self { place, key: key.to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Cos(bucket) => write!(f, "cos://{bucket}/{}", self.key),
            Place::Folder(folder) => {
                let folder = folder.display().to_string();
                write!(f, "file:{}/{}", folder.trim_end_matches('/'), self.key)
            }
            Place::Oss(bucket) => write!(f, "oss://{bucket}/{}", self.key),
        }
    }
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
        assert_eq!((root.place, root.key.as_str()), (Place::Folder("/".into()), "k"));
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
