//! The XML documents that both vendors share.

use meta_codec::Vendor;
use quick_xml::de::from_str;
use serde::Deserialize;

use crate::{ErrorResponse, Restore, StoreError};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Listing {
    pub(crate) contents: Vec<Contents>,
    pub(crate) common_prefixes: Vec<CommonPrefix>,
    pub(crate) is_truncated: Option<bool>,
    pub(crate) next_marker: String,
    pub(crate) encoding_type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Contents {
    pub(crate) key: String,
    pub(crate) size: u64,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    pub(crate) last_modified: Option<String>,
}

/// What several keys begin with, up to a delimiter.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct CommonPrefix {
    pub(crate) prefix: String,
}

/// Versions and deletions, in one order.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Versions {
    #[serde(rename = "$value")]
    pub(crate) each: Vec<VersionElement>,
}

#[derive(Debug, Deserialize)]
pub(crate) enum VersionElement {
    Version(ListedVersion),
    DeleteMarker(ListedVersion),
    EncodingType(String),
    IsTruncated(bool),
    NextKeyMarker(#[serde(default)] String),
    NextVersionIdMarker(#[serde(default)] String),
    #[serde(other)]
    Other,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ListedVersion {
    pub(crate) key: String,
    pub(crate) version_id: String,
    pub(crate) is_latest: bool,
    pub(crate) last_modified: Option<String>,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    pub(crate) size: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Parts {
    pub(crate) part: Vec<Part>,
    pub(crate) is_truncated: Option<bool>,
    pub(crate) next_part_number_marker: String,
    pub(crate) client_encryption_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Part {
    pub(crate) part_number: u16,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
    pub(crate) size: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Uploads {
    pub(crate) upload: Vec<OpenUpload>,
    pub(crate) encoding_type: String,
    pub(crate) is_truncated: Option<bool>,
    pub(crate) next_key_marker: String,
    pub(crate) next_upload_id_marker: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct OpenUpload {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) initiated: String,
}

/// The response to creating and completing an upload, and to copying.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Done {
    pub(crate) upload_id: String,
    #[serde(rename = "ETag")]
    pub(crate) etag: String,
}

/// The tags of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Tagging {
    pub(crate) tag_set: TagSet,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct TagSet {
    pub(crate) tag: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Who may access an object: a word at OSS, a list of grants at COS.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Access {
    owner: Account,
    access_control_list: Grants,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Grants {
    grant: Vec<Grant>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Grant {
    #[serde(rename = "$text")]
    word: Option<String>,
    grantee: Account,
    permission: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Account {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "URI")]
    uri: String,
}

impl Access {
    /// Returns the word of OSS.
    pub(crate) fn word(&self) -> Option<&str> {
        self.access_control_list.grant.iter().find_map(|grant| grant.word.as_deref())
    }

    /// Returns the word for the grants of COS, as its SDKs find it (cos-python-sdk-v5 1.9.44,
    /// `parse_object_canned_acl`). `None` if they name single accounts, for which there is no word.
    pub(crate) fn word_for_grants(&self) -> Option<&'static str> {
        let mut word = "private";
        for Grant { grantee, permission, .. } in &self.access_control_list.grant {
            match (grantee.uri.ends_with("/global/AllUsers"), permission.as_str()) {
                (true, "READ") => word = "public-read",
                (false, "FULL_CONTROL") if grantee.id == self.owner.id => {}
                _ => return None,
            }
        }
        Some(word)
    }
}

/// The response to deleting several objects.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Deletions {
    #[serde(rename = "$value")]
    pub(crate) each: Vec<Deletion>,
}

/// What became of one of them.
#[derive(Debug, Deserialize)]
pub(crate) enum Deletion {
    #[serde(rename_all = "PascalCase")]
    Deleted { key: String },
    #[serde(rename_all = "PascalCase")]
    Error {
        key: String,
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorDocument {
    code: String,
    message: String,
    request_id: String,
    #[serde(rename = "EC")]
    cause: String,
    endpoint: String,
}

/// Reads a document with the root element `root`. Both services can fail after they have sent
/// status 200, so an `Error` document is an error regardless of the status.
pub(crate) fn read<T: for<'a> Deserialize<'a>>(text: &str, root: &str) -> Result<T, StoreError> {
    refuse_error(text)?;
    let malformed = |words: String| Err(StoreError::Malformed(words));
    if root_of(text) != Some(root) {
        return malformed(format!("there is no {root} element"));
    }
    from_str(text).or_else(|error| malformed(format!("{root}: {error}")))
}

/// Rejects an `Error` document. After status 200, the fault is the service's, so it is transient.
pub(crate) fn refuse_error(text: &str) -> Result<(), StoreError> {
    match root_of(text) {
        Some("Error") => Err(StoreError::Unavailable(refusal(500, text).to_string())),
        _ => Ok(()),
    }
}

/// Returns the endpoint where a bucket is, which an error document may name.
pub(crate) fn endpoint(text: &str) -> String {
    error_document(text).endpoint.chars().take(300).collect()
}

fn error_document(text: &str) -> ErrorDocument {
    match root_of(text) {
        Some("Error") => from_str(text).unwrap_or_default(),
        _ => ErrorDocument::default(),
    }
}

/// Reads the details in an error document.
pub(crate) fn refusal(status: u16, text: &str) -> ErrorResponse {
    let document = error_document(text);
    let short = |text: String| text.chars().take(300).collect();
    ErrorResponse {
        status,
        code: short(document.code),
        message: short(document.message),
        cause: short(document.cause),
        request_id: short(document.request_id),
    }
}

fn root_of(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    if rest.starts_with("<?") {
        rest = rest.split_once("?>")?.1.trim_start();
    }
    let name = rest.strip_prefix('<')?;
    name.split(|c: char| c == '>' || c == '/' || c.is_whitespace()).next()
}

/// Returns the request body that completes an upload.
pub(crate) fn completion(parts: &[(u16, String)]) -> String {
    let mut text = String::from("<CompleteMultipartUpload>");
    for (number, etag) in parts {
        let etag = quick_xml::escape::escape(etag.as_str());
        text.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        ));
    }
    text.push_str("</CompleteMultipartUpload>");
    text
}

/// Returns the request body that deletes objects, with an answer about each.
pub(crate) fn deletion<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("<Delete><Quiet>false</Quiet>");
    for key in keys {
        let key = quick_xml::escape::escape(key);
        text.push_str(&format!("<Object><Key>{key}</Key></Object>"));
    }
    text.push_str("</Delete>");
    text
}

/// Returns the request body that restores an object. OSS and COS name what it contains differently.
pub(crate) fn restoration(restore: &Restore, vendor: Vendor) -> String {
    let parameters = match vendor {
        Vendor::Cos => "CASJobParameters",
        Vendor::Oss => "JobParameters",
    };
    let tier = restore.tier().map_or(String::new(), |tier| {
        format!("<{parameters}><Tier>{}</Tier></{parameters}>", tier.name())
    });
    format!("<RestoreRequest><Days>{}</Days>{tier}</RestoreRequest>", restore.days())
}

/// Returns whether there are more pages. Both services say so on every page, and what does not is
/// no list that could be complete.
pub(crate) fn is_truncated(stated: Option<bool>) -> Result<bool, StoreError> {
    let words = "the list does not say whether it is complete";
    stated.ok_or_else(|| StoreError::Malformed(words.to_owned()))
}

/// Returns whether a text is the same after it was written to and read from a document.
pub(crate) fn is_plain(text: &str) -> bool {
    let is_kept = |sign: char| !sign.is_control() && !matches!(sign, '\u{fffe}' | '\u{ffff}');
    text.trim() == text && text.chars().all(is_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let text = "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"http://x\"><Name>b</Name>\
            <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <NextMarker>b</NextMarker>\
            <Contents><Key>a%20b</Key><Size>5</Size><ETag>\"E\"</ETag></Contents>\
            <Contents><Key>b</Key><Size>0</Size><ETag>&quot;F&quot;</ETag><Owner><ID>0</ID></Owner>\
            </Contents></ListBucketResult>";
        let listing: Listing = read(text, "ListBucketResult").unwrap();
        assert_eq!(listing.is_truncated, Some(true));
        assert_eq!(listing.contents[0].key, "a%20b");
        assert_eq!((listing.contents[1].size, listing.contents[1].etag.as_str()), (0, "\"F\""));
        let empty: Listing = read("<ListBucketResult/>", "ListBucketResult").unwrap();
        assert!(empty.contents.is_empty());
        assert!(is_truncated(empty.is_truncated).is_err());
    }

    #[test]
    fn deletions_in_any_order() {
        let text = "<DeleteResult><Deleted><Key>a</Key></Deleted><EncodingType/><Error><Key>b</Key>\
            <Code>AccessDenied</Code><Message>no</Message></Error><Deleted><Key>c &amp; d</Key>\
            <DeleteMarker>true</DeleteMarker></Deleted></DeleteResult>";
        let deletions: Deletions = read(text, "DeleteResult").unwrap();
        let keys: Vec<&str> = deletions
            .each
            .iter()
            .map(|it| match it {
                Deletion::Deleted { key } => key.as_str(),
                Deletion::Error { code, .. } => code.as_str(),
                Deletion::Other => "",
            })
            .collect();
        assert_eq!(keys, ["a", "", "AccessDenied", "c & d"]);
        let acl = "<AccessControlPolicy><Owner><ID>0</ID></Owner><AccessControlList><Grant>private\
            </Grant></AccessControlList></AccessControlPolicy>";
        let access: Access = read(acl, "AccessControlPolicy").unwrap();
        assert_eq!(access.word(), Some("private"));
        let grants = |more: &str| {
            let text = format!(
                "<AccessControlPolicy><Owner><ID>me</ID><DisplayName>me</DisplayName></Owner>\
                 <AccessControlList><Grant><Grantee xmlns:xsi=\"http://x\" xsi:type=\"Root\">\
                 <ID>me</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>{more}\
                 </AccessControlList></AccessControlPolicy>"
            );
            read::<Access>(&text, "AccessControlPolicy").unwrap().word_for_grants()
        };
        assert_eq!(grants(""), Some("private"));
        let all = "<Grant><Grantee><URI>http://cam.qcloud.com/groups/global/AllUsers</URI>\
            </Grantee><Permission>READ</Permission></Grant>";
        assert_eq!(grants(all), Some("public-read"));
        let other = "<Grant><Grantee><ID>you</ID></Grantee><Permission>READ</Permission></Grant>";
        assert_eq!(grants(other), None);
        assert_eq!(grants(&all.replace("READ", "WRITE")), None);
        let empty: Deletions = read("<DeleteResult/>", "DeleteResult").unwrap();
        assert!(empty.each.is_empty());
        assert_eq!(
            deletion(["a<b", "c"].into_iter()),
            "<Delete><Quiet>false</Quiet><Object><Key>a&lt;b</Key></Object>\
             <Object><Key>c</Key></Object></Delete>"
        );
    }

    #[test]
    fn versions_and_deletions_in_one_order() {
        let text = "<ListVersionsResult><Name>b</Name><Prefix></Prefix><MaxKeys>2</MaxKeys>\
            <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>k\
            </NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker><DeleteMarker><Key>k</Key>\
            <VersionId>3</VersionId><IsLatest>true</IsLatest><Owner><ID>0</ID></Owner>\
            </DeleteMarker><Version><Key>k</Key><VersionId>2</VersionId><IsLatest>false</IsLatest>\
            <ETag>\"E\"</ETag><Size>5</Size><StorageClass>IA</StorageClass></Version>\
            </ListVersionsResult>";
        let page: Versions = read(text, "ListVersionsResult").unwrap();
        let told: Vec<String> = page.each.iter().map(|it| format!("{it:?}")).collect();
        let told = told.join(" ");
        assert!(
            told.find("DeleteMarker").unwrap() < told.find("Version(Listed").unwrap(),
            "{told}"
        );
        for words in ["IsTruncated(true)", "NextKeyMarker(\"k\")", "size: 5", "\"url\""] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let empty = "<ListVersionsResult><NextKeyMarker/><IsTruncated>false</IsTruncated>\
            </ListVersionsResult>";
        read::<Versions>(empty, "ListVersionsResult").unwrap();
    }

    #[test]
    fn an_error_is_one_whatever_the_status() {
        let text = "<Error><Code>InternalError</Code><Message>m</Message><EC>1</EC></Error>";
        assert!(matches!(
            read::<Done>(text, "CompleteMultipartUploadResult"),
            Err(StoreError::Unavailable(words)) if words.contains("InternalError")
        ));
        assert_eq!(refusal(403, text).code, "InternalError");
        for bad in ["", "<html>", "{}", "<CompleteMultipartUploadResult>"] {
            assert!(matches!(
                read::<Done>(bad, "CompleteMultipartUploadResult"),
                Err(StoreError::Malformed(_))
            ));
        }
    }
}
