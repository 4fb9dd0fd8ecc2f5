//! The headers that an object keeps when it is written anew: everything that its owner gave it,
//! besides its bytes and its envelope.

use meta_codec::Vendor;

use crate::{
    Event, Headers, Store, StoreError, attributes::tagging, object_envelope::is_of_envelope,
    progress::ProgressListener,
};

const STANDARD: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// Returns the headers of the object with another envelope.
pub(crate) fn with_envelope(headers: &Headers, envelope: &[(&'static str, String)]) -> Headers {
    let mut all = kept(headers);
    all.extend(envelope.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    all
}

/// Returns the headers that a new version of the object must have again, except the envelope. Its
/// tags and its access are among them only if the store shows them.
pub(crate) fn kept(headers: &Headers) -> Headers {
    let is_kept = |name: &str| {
        let mut vendors = Vendor::ALL.into_iter();
        let user = vendors.any(|vendor| name.starts_with(vendor.metadata_prefix()));
        (user && !is_of_envelope(name)) || is_of_place(name) || STANDARD.contains(&name)
    };
    headers.iter().filter(|(name, _)| is_kept(name)).cloned().collect()
}

/// Returns whether a header says how and where a store keeps an object. A copy within a service has
/// it only if it is asked for.
pub(crate) fn is_of_place(name: &str) -> bool {
    Vendor::ALL.into_iter().any(|vendor| {
        vendor.copied_headers().contains(&name)
            || name == vendor.access_header()
            || name.strip_prefix(vendor.header_prefix()) == Some("tagging")
    })
}

/// Returns whether a header asks a store to encrypt on its side.
pub(crate) fn is_server_side(name: &str) -> bool {
    Vendor::ALL.into_iter().any(|vendor| {
        name.strip_prefix(vendor.header_prefix())
            .is_some_and(|rest| rest.starts_with("server-side-"))
    })
}

/// Returns headers as they are called by another vendor. What only one of them knows, such as
/// storage classes, is left out.
pub(crate) fn translated(headers: Headers, to: Vendor) -> Headers {
    let translate = |(name, value): (String, String)| {
        let rest = Vendor::ALL.into_iter().find_map(|it| name.strip_prefix(it.metadata_prefix()));
        if let Some(rest) = rest {
            return Some((format!("{}{rest}", to.metadata_prefix()), value));
        }
        let is_tagging = |it: &Vendor| name.strip_prefix(it.header_prefix()) == Some("tagging");
        if Vendor::ALL.iter().any(is_tagging) {
            return Some((format!("{}tagging", to.header_prefix()), value));
        }
        let is_of_other = !name.starts_with(to.header_prefix()) && is_of_place(&name);
        (!is_of_other).then_some((name, value))
    };
    headers.into_iter().filter_map(translate).collect()
}

/// Returns the header of an object's tags. A store shows their number at most, and OSS not even
/// that to everybody. If they cannot be read, the listener is told that they are lost.
///
/// # Errors
/// If it is not known whether they can be read.
pub(crate) async fn tags(
    store: &dyn Store,
    key: &str,
    listener: &ProgressListener,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(vendor) = store.vendor() else { return Ok(None) };
    let tags = known(store.tags(key).await, "tags of the object", listener)?;
    Ok(tags.filter(|tags| !tags.is_empty()).map(|tags| tagging(vendor, &tags)))
}

/// Returns the header of an object's access, if it is not that of its bucket. If it cannot be read,
/// the listener is told that it is lost.
///
/// # Errors
/// If it is not known whether it can be read.
pub(crate) async fn access(
    store: &dyn Store,
    key: &str,
    listener: &ProgressListener,
) -> Result<Option<(String, String)>, StoreError> {
    let Some(vendor) = store.vendor() else { return Ok(None) };
    let word = known(store.access(key).await, "access to the object (its ACL)", listener)?;
    Ok(word.flatten().map(|word| (vendor.access_header().to_owned(), word)))
}

/// Returns what a store answered. `None` if it does not say.
fn known<T>(
    answer: Result<T, StoreError>,
    what: &str,
    listener: &ProgressListener,
) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        // Not everybody may ask, and not every service that speaks the protocol knows the question.
        Err(
            StoreError::Denied(_)
            | StoreError::Malformed(_)
            | StoreError::Refused(_)
            | StoreError::Unsupported(_),
        ) => {
            let words = format!("the {what} cannot be read, and is not kept");
            listener.notify(Event::Warning(words));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_the_owner_gave_and_nothing_else() {
        let all = headers(&[
            ("content-type", "text/plain"),
            ("content-length", "5"),
            ("etag", "\"e\""),
            ("x-oss-meta-owner", "me"),
            ("x-oss-meta-client-side-encryption-key", "k"),
            ("x-cos-meta-envelope-seal", "s"),
            ("x-oss-storage-class", "IA"),
            ("x-oss-tagging", "a=b"),
            ("x-cos-acl", "public-read"),
            ("x-oss-request-id", "1"),
            ("x-cos-server-side-encryption", "AES256"),
            ("x-cos-server-side-encryption-customer-algorithm", "AES256"),
        ]);
        let names: Vec<String> = kept(&all).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "content-type",
                "x-oss-meta-owner",
                "x-oss-storage-class",
                "x-oss-tagging",
                "x-cos-acl",
                "x-cos-server-side-encryption",
            ]
        );
        let with = with_envelope(&all, &[("x-oss-meta-client-side-encryption-key", "n".into())]);
        assert_eq!(with.last().map(|(_, value)| value.as_str()), Some("n"));
    }

    #[test]
    fn in_the_words_of_the_other_vendor() {
        let all = headers(&[
            ("content-type", "text/plain"),
            ("x-oss-meta-owner", "me"),
            ("x-oss-storage-class", "IA"),
            ("x-oss-object-acl", "private"),
            ("x-oss-tagging", "a=b"),
            ("x-oss-server-side-encryption", "AES256"),
            ("x-cos-storage-class", "STANDARD_IA"),
        ]);
        let cos = headers(&[
            ("content-type", "text/plain"),
            ("x-cos-meta-owner", "me"),
            ("x-cos-tagging", "a=b"),
            ("x-cos-storage-class", "STANDARD_IA"),
        ]);
        assert_eq!(translated(all, Vendor::Cos), cos);
        assert!(is_server_side("x-oss-server-side-encryption-key-id"));
        assert!(is_server_side("x-cos-server-side-encryption"));
        assert!(!is_server_side("x-cos-storage-class"));
    }
}
