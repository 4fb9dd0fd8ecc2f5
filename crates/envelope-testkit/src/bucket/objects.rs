//! Objects and multipart uploads, and the operations on them.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use jiff::Timestamp;
use md5::{Digest as _, Md5};

use super::{
    Fault,
    answer::{Answer, document, escape, refusal},
    http_date,
    route::{Call, decode, encode},
    rules::{self, Announced},
    signature::hex,
};

type Headers = Vec<(String, String)>;
/// A bucket and a key.
type Name = (String, String);

#[derive(Default)]
pub(super) struct State {
    objects: BTreeMap<Name, Kept>,
    /// Earlier versions, the newest last.
    old: BTreeMap<Name, Vec<Kept>>,
    uploads: BTreeMap<String, Begun>,
    count: u64,
    keeps_versions: bool,
    /// The number of copies of the [template](TEMPLATE) that there seem to be.
    made: u64,
}

/// What the keys of objects begin with that are made when they are asked for.
const MADE: &str = "made/";
/// The object that they are copies of.
const TEMPLATE: &str = "made/template";

#[derive(Clone)]
struct Kept {
    bytes: Bytes,
    headers: Headers,
    etag: String,
    crc64: u64,
    written: Timestamp,
    version: Option<String>,
}

struct Begun {
    name: Name,
    headers: Headers,
    announced: Option<Announced>,
    parts: BTreeMap<u64, Kept>,
    begun: Timestamp,
}

impl Kept {
    fn new(bytes: Bytes, headers: Headers) -> Self {
        Self {
            etag: format!("\"{}\"", hex(&Md5::digest(&bytes)).to_uppercase()),
            crc64: checksum(CrcAlgorithm::Crc64Xz, &bytes),
            written: Timestamp::now(),
            version: None,
            bytes,
            headers,
        }
    }

    fn answer(&self, fault: Option<Fault>) -> Answer {
        let wrong = u64::from(fault == Some(Fault::WrongChecksum));
        let crc64 = (self.crc64 ^ wrong).to_string();
        let other = fault == Some(Fault::OtherTag);
        let etag = if other { "\"0123456789ABCDEF\"".to_owned() } else { self.etag.clone() };
        let mut headers = vec![
            ("etag".to_owned(), etag),
            ("x-oss-hash-crc64ecma".to_owned(), crc64.clone()),
            ("x-cos-hash-crc64ecma".to_owned(), crc64),
            ("last-modified".to_owned(), http_date(self.written)),
        ];
        for name in ["x-oss-version-id", "x-cos-version-id"] {
            headers.extend(self.version.clone().map(|version| (name.to_owned(), version)));
        }
        Answer { status: 200, headers, body: Bytes::new() }
    }
}

fn iso_date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

impl State {
    pub(super) fn object(&self, bucket: &str, key: &str) -> Option<(Bytes, Headers)> {
        let kept = self.objects.get(&(bucket.to_owned(), key.to_owned()))?;
        Some((kept.bytes.clone(), kept.headers.clone()))
    }

    pub(super) fn insert(&mut self, bucket: &str, key: &str, bytes: &[u8], headers: Headers) {
        let kept = Kept::new(Bytes::copy_from_slice(bytes), headers);
        self.store((bucket.to_owned(), key.to_owned()), kept, None);
    }

    pub(super) const fn make(&mut self, count: u64) {
        self.made = count;
    }

    /// Returns an object, or the template of those that are made when they are asked for.
    fn find(&self, bucket: &str, key: &str) -> Option<&Kept> {
        let found = self.objects.get(&(bucket.to_owned(), key.to_owned()));
        found.or_else(|| {
            let number: u64 = key.strip_prefix(MADE)?.parse().ok()?;
            let template = (bucket.to_owned(), TEMPLATE.to_owned());
            self.objects.get(&template).filter(|_| number < self.made)
        })
    }

    /// Returns the objects of a bucket whose keys start with a prefix and come after a key.
    fn after<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: &'a str,
    ) -> Box<dyn Iterator<Item = (String, &'a Kept)> + 'a> {
        let template = self.objects.get(&(bucket.to_owned(), TEMPLATE.to_owned()));
        if let Some(template) = template.filter(|_| self.made > 0 && prefix == MADE) {
            let first = after.strip_prefix(MADE).and_then(|it| it.parse::<u64>().ok());
            let first = first.map_or(0, |number| number + 1);
            return Box::new((first..self.made).map(move |n| (format!("{MADE}{n:09}"), template)));
        }
        let start = (bucket.to_owned(), prefix.max(after).to_owned());
        let found = self.objects.range(start..);
        let found = found.take_while(move |((it, key), _)| {
            it == bucket && (key.starts_with(prefix) || key.as_str() < prefix)
        });
        let is_wanted = move |key: &str| key.starts_with(prefix) && key > after;
        Box::new(
            found
                .filter(move |((_, key), _)| is_wanted(key))
                .map(|((_, key), kept)| (key.clone(), kept)),
        )
    }

    pub(super) const fn keep_versions(&mut self) {
        self.keeps_versions = true;
    }

    pub(super) fn versions(&self, bucket: &str, key: &str) -> usize {
        let name = (bucket.to_owned(), key.to_owned());
        self.old.get(&name).map_or(0, Vec::len) + usize::from(self.objects.contains_key(&name))
    }

    /// Stores an object, and returns the answer to the request.
    fn store(&mut self, name: Name, mut kept: Kept, fault: Option<Fault>) -> Answer {
        if self.keeps_versions {
            self.count += 1;
            kept.version = Some(format!("V{}", self.count));
            if let Some(before) = self.objects.remove(&name) {
                self.old.entry(name.clone()).or_default().push(before);
            }
        }
        let answer = kept.answer(fault);
        self.objects.insert(name, kept);
        answer
    }

    /// Refuses to replace an object. Buckets that keep versions do not.
    fn forbid_overwrite(&self, call: &Call, name: &Name) -> Result<(), Answer> {
        let forbidden = call.own_header("forbid-overwrite") == Some("true");
        if forbidden && !self.keeps_versions && self.objects.contains_key(name) {
            return Err(refusal(409, "FileAlreadyExists", ""));
        }
        Ok(())
    }

    fn delete(&mut self, call: &Call) -> Answer {
        let name = (call.bucket.clone(), call.key.clone());
        let version = call.query("versionId");
        let current = self.objects.get(&name).and_then(|kept| kept.version.as_deref());
        if version.is_empty() || current == Some(version) {
            let removed = self.objects.remove(&name);
            let old = self.old.entry(name.clone()).or_default();
            if version.is_empty() {
                // The real services leave a marker, and the version stays.
                old.extend(removed.filter(|_| self.keeps_versions));
            } else if let Some(before) = old.pop() {
                self.objects.insert(name, before);
            }
        } else if let Some(old) = self.old.get_mut(&name) {
            old.retain(|kept| kept.version.as_deref() != Some(version));
        }
        Answer { status: 204, ..Answer::default() }
    }

    pub(super) fn arrived(&self) -> Vec<u64> {
        self.uploads.values().flat_map(|begun| begun.parts.keys().copied()).collect()
    }

    pub(super) fn open_uploads(&self) -> usize {
        self.uploads.len()
    }

    pub(super) fn perform(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let has = |name: &str| call.query.contains_key(name);
        match call.method.as_str() {
            _ if call.key.is_empty() && has("delete") => Ok(self.delete_many(call)),
            "PUT" | "HEAD" if call.key.is_empty() => {
                Ok(Answer { status: 200, ..Answer::default() })
            }
            "PUT" if has("uploadId") => self.part(call, fault),
            "PUT" if call.own_header("copy-source").is_some() => self.copy(call, fault),
            "PUT" => self.put(call, fault),
            "POST" if has("uploads") => self.initiate(call, fault),
            "POST" if has("uploadId") => self.complete(call, fault),
            "POST" if has("append") => self.append(call),
            "GET" if has("uploadId") => self.parts(call, fault),
            "GET" | "HEAD" => self.get(call, fault),
            "DELETE" if has("uploadId") => match self.uploads.remove(call.query("uploadId")) {
                Some(_) => Ok(Answer { status: 204, ..Answer::default() }),
                None => Err(refusal(404, "NoSuchUpload", "")),
            },
            "DELETE" => Ok(self.delete(call)),
            _ => Err(refusal(405, "MethodNotAllowed", "")),
        }
    }

    fn put(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        rules::put(call)?;
        let name = (call.bucket.clone(), call.key.clone());
        self.forbid_overwrite(call, &name)?;
        check_md5(call)?;
        let kept = Kept::new(arrived(&call.body, fault), metadata(call, fault));
        Ok(self.store(name, kept, fault))
    }

    fn initiate(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let announced = rules::initiate(call)?;
        self.forbid_overwrite(call, &(call.bucket.clone(), call.key.clone()))?;
        self.count += 1;
        let id = format!("{:032X}", self.count);
        let name = (call.bucket.clone(), call.key.clone());
        let headers = metadata(call, fault);
        let (parts, begun) = (BTreeMap::new(), Timestamp::now());
        self.uploads.insert(id.clone(), Begun { name, headers, announced, parts, begun });
        Ok(document(&format!(
            "<InitiateMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key>\
             <UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
            call.bucket,
            escape(&call.key)
        )))
    }

    fn begun(&mut self, call: &Call) -> Result<&mut Begun, Answer> {
        let id = call.query("uploadId");
        self.uploads.get_mut(id).ok_or_else(|| refusal(404, "NoSuchUpload", ""))
    }

    fn part(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let begun = self.begun(call)?;
        let number = call.query("partNumber").parse().ok().filter(|n| (1..=10_000).contains(n));
        let number = number.ok_or_else(|| refusal(400, "InvalidArgument", "partNumber"))?;
        if let Some(announced) = &begun.announced {
            rules::part(call, announced, number)?;
        }
        check_md5(call)?;
        let kept = Kept::new(arrived(&call.body, fault), Headers::new());
        let answer = kept.answer(fault);
        begun.parts.insert(number, kept);
        Ok(answer)
    }

    fn parts(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let begun = self.begun(call)?;
        let after: u64 = call.query("part-number-marker").parse().unwrap_or(0);
        let most: usize = call.query("max-parts").parse().unwrap_or(1000).min(call.page);
        let mut listed: Vec<_> = begun.parts.range(after + 1..).take(most + 1).collect();
        let more = listed.len() > most;
        listed.truncate(most);
        let next = listed.last().map_or(0, |(number, _)| **number);
        let (more, next) = match fault {
            Some(Fault::SameMarker) => (true, after.to_string()),
            Some(Fault::NoMarker) => (true, String::new()),
            _ => (more, next.to_string()),
        };
        // OSS tells what the parts belong to (seen in the OSS Go SDK version 2).
        let key =
            begun.headers.iter().find(|(name, _)| name == "x-oss-meta-client-side-encryption-key");
        let key = key.map_or(String::new(), |(_, key)| {
            format!("<ClientEncryptionKey>{}</ClientEncryptionKey>", escape(key))
        });
        let parts: String = listed
            .into_iter()
            .map(|(number, part)| {
                format!(
                    "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag><Size>{}</Size>\
                     <LastModified>{}</LastModified></Part>",
                    escape(&part.etag),
                    part.bytes.len(),
                    iso_date(part.written)
                )
            })
            .collect();
        Ok(document(&format!(
            "<ListPartsResult><Bucket>{}</Bucket><Key>{}</Key><UploadId>{}</UploadId>\
             <NextPartNumberMarker>{next}</NextPartNumberMarker>\
             <IsTruncated>{more}</IsTruncated>{key}{parts}</ListPartsResult>",
            call.bucket,
            escape(&call.key),
            call.query("uploadId")
        )))
    }

    fn complete(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let name = self.begun(call)?.name.clone();
        self.forbid_overwrite(call, &name)?;
        let begun = self.begun(call)?;
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let numbers: Vec<u64> =
            elements(&text, "PartNumber").map_while(|n| n.parse().ok()).collect();
        // The quotation marks of tags as the SDKs write them; Go's XML has them as numbers.
        let tags: Vec<String> = elements(&text, "ETag")
            .map(|tag| tag.replace("&quot;", "").replace("&#34;", "").replace('"', ""))
            .collect();
        let ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        if numbers.is_empty() || !ordered || tags.len() != numbers.len() {
            return Err(refusal(400, "InvalidPartOrder", ""));
        }
        if let Some(announced) = &begun.announced {
            rules::complete(announced, numbers.len())?;
        }
        let (mut whole, mut digests) = (BytesMut::new(), Md5::new());
        for (number, tag) in numbers.iter().zip(&tags) {
            let part = begun.parts.get(number).filter(|part| part.etag.trim_matches('"') == tag);
            let part = part.ok_or_else(|| refusal(400, "InvalidPart", ""))?;
            digests.update(Md5::digest(&part.bytes));
            whole.extend_from_slice(&part.bytes);
        }
        let headers = begun.headers.clone();
        self.uploads.remove(call.query("uploadId"));
        let headers = if fault == Some(Fault::LoseMetadata) { Headers::new() } else { headers };
        let mut kept = Kept::new(whole.freeze(), headers);
        let digest = hex(&digests.finalize()).to_uppercase();
        kept.etag = format!("\"{digest}-{}\"", numbers.len());
        let text = document(&format!(
            "<CompleteMultipartUploadResult><Location>x</Location><Bucket>{}</Bucket>\
             <Key>{}</Key><ETag>{}</ETag></CompleteMultipartUploadResult>",
            name.0,
            escape(&name.1),
            escape(&kept.etag)
        ));
        let mut answer = self.store(name, kept, fault);
        answer.headers.extend(text.headers);
        answer.body = text.body;
        Ok(answer)
    }

    fn append(&mut self, call: &Call) -> Result<Answer, Answer> {
        let name = (call.bucket.clone(), call.key.clone());
        let old = self.objects.get(&name);
        let len = old.map_or(0, |kept| kept.bytes.len());
        if call.query("position") != len.to_string() {
            return Err(refusal(409, "PositionNotEqualToLength", ""));
        }
        let mut bytes = BytesMut::from(old.map_or(&b""[..], |kept| &kept.bytes));
        bytes.extend_from_slice(&call.body);
        let headers = old.map_or_else(|| call.metadata(), |kept| kept.headers.clone());
        let kept = Kept::new(bytes.freeze(), headers);
        let mut answer = kept.answer(None);
        let position = kept.bytes.len().to_string();
        answer.headers.push(("x-oss-next-append-position".to_owned(), position));
        self.objects.insert(name, kept);
        Ok(answer)
    }

    fn copy(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let source = decode(call.own_header("copy-source").unwrap_or_default(), false);
        let source = source.split('?').next().unwrap_or_default().trim_start_matches('/');
        let (bucket, key) = source.split_once('/').unwrap_or((source, ""));
        let bucket = bucket.split('.').next().unwrap_or_default();
        let kept = self.objects.get(&(bucket.to_owned(), key.to_owned()));
        let kept = kept.ok_or_else(|| refusal(404, "NoSuchKey", ""))?;
        let tag = call.own_header("copy-source-if-match").unwrap_or(&kept.etag);
        if tag.trim_matches('"') != kept.etag.trim_matches('"') {
            return Err(refusal(412, "PreconditionFailed", ""));
        }
        let directive = call.own_header("metadata-directive").unwrap_or("COPY");
        let replaces =
            directive.eq_ignore_ascii_case("replace") || directive.eq_ignore_ascii_case("replaced");
        if replaces && rules::is_encrypted(&kept.headers) {
            return Err(rules::copy());
        }
        let headers = if replaces { metadata(call, fault) } else { kept.headers.clone() };
        let kept = Kept::new(arrived(&kept.bytes, fault), headers);
        let text = document(&format!(
            "<CopyObjectResult><ETag>{}</ETag><LastModified>{}</LastModified></CopyObjectResult>",
            escape(&kept.etag),
            iso_date(kept.written)
        ));
        self.store((call.bucket.clone(), call.key.clone()), kept, fault);
        Ok(text)
    }

    fn get(&self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let kept = self.find(&call.bucket, &call.key);
        let kept = kept.ok_or_else(|| refusal(404, "NoSuchKey", "no such key"))?;
        let wanted = call.header("if-match");
        if !wanted.is_empty() && wanted.trim_matches('"') != kept.etag.trim_matches('"') {
            return Err(refusal(412, "PreconditionFailed", ""));
        }
        let mut answer = kept.answer(fault);
        answer.headers.push(("accept-ranges".to_owned(), "bytes".to_owned()));
        if fault != Some(Fault::LoseMetadata) {
            // Nobody is told the tags that way.
            let told = kept.headers.iter().filter(|(name, _)| !name.ends_with("-tagging"));
            answer.headers.extend(told.cloned());
        }
        let len = kept.bytes.len();
        let range = call.header("range").strip_prefix("bytes=").and_then(|it| it.split_once('-'));
        answer.body = match range {
            Some((first, last)) if fault != Some(Fault::IgnoreRange) => {
                let number = |text: &str| text.parse::<usize>().ok();
                let (start, end) = match (number(first), number(last)) {
                    (Some(first), None) => (first, len),
                    (Some(first), Some(last)) => (first, len.min(last + 1)),
                    (None, Some(suffix)) => (len.saturating_sub(suffix), len),
                    (None, None) => (0, len),
                };
                if start >= end {
                    return Err(refusal(416, "InvalidRange", ""));
                }
                let range = format!("bytes {start}-{}/{len}", end - 1);
                answer.headers.push(("content-range".to_owned(), range));
                answer.status = 206;
                kept.bytes.slice(start..end)
            }
            _ => kept.bytes.clone(),
        };
        answer.headers.push(("content-length".to_owned(), answer.body.len().to_string()));
        Ok(answer)
    }

    fn delete_many(&mut self, call: &Call) -> Answer {
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let encoded = call.query("encoding-type") == "url";
        let mut deleted = String::new();
        for key in elements(&text, "Key") {
            let signs =
                [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
            let key = signs.iter().fold(key.to_owned(), |key, (from, to)| key.replace(from, to));
            let plain = if encoded { decode(&key, false) } else { key };
            deleted.push_str(&format!("<Deleted><Key>{}</Key></Deleted>", escape(&plain)));
            self.objects.remove(&(call.bucket.clone(), plain));
        }
        document(&format!("<DeleteResult>{deleted}</DeleteResult>"))
    }

    /// Lists the objects or the open multipart uploads of a bucket.
    pub(super) fn list(&self, call: &Call, fault: Option<Fault>) -> Answer {
        let encoded = call.query("encoding-type") == "url";
        let shown = |key: &str| if encoded { encode(key, "/") } else { escape(key) };
        let kind = if encoded { "<EncodingType>url</EncodingType>" } else { "" };
        let prefix = call.query("prefix");
        if call.query.contains_key("location") {
            return document("<LocationConstraint>loop</LocationConstraint>");
        }
        if call.query.contains_key("uploads") {
            return self.open_list(call, fault, kind, &shown);
        }
        let after = ["continuation-token", "start-after", "marker"]
            .iter()
            .map(|name| call.query(name))
            .find(|after| !after.is_empty())
            .unwrap_or_default();
        let most = call.query("max-keys").parse().unwrap_or(1000_usize).min(call.page);
        let delimiter = call.query("delimiter");
        let (mut contents, mut folders) = (String::new(), BTreeSet::new());
        let (mut count, mut last, mut more) = (0, String::new(), false);
        for (key, kept) in self.after(&call.bucket, prefix, after) {
            let rest = key.get(prefix.len()..).unwrap_or_default();
            let folder = rest.split_once(delimiter).filter(|_| !delimiter.is_empty());
            let folder = folder.map(|(name, _)| format!("{prefix}{name}{delimiter}"));
            if folder.as_ref().is_some_and(|folder| folders.contains(folder)) {
                last.clone_from(&key);
                continue;
            }
            if count >= most {
                more = true;
                break;
            }
            count += 1;
            last.clone_from(&key);
            if let Some(folder) = folder {
                folders.insert(folder);
                continue;
            }
            contents.push_str(&format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                 <Type>Normal</Type><Size>{}</Size><StorageClass>Standard</StorageClass>\
                 <Owner><ID>0</ID><DisplayName>0</DisplayName></Owner></Contents>",
                shown(&key),
                iso_date(kept.written),
                escape(&kept.etag),
                kept.bytes.len()
            ));
        }
        let folders: String = folders
            .iter()
            .map(|it| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", shown(it)))
            .collect();
        let (more, next) = match fault {
            Some(Fault::SameMarker) => (true, shown(after)),
            Some(Fault::NoMarker) => (true, String::new()),
            _ => (more, shown(&last)),
        };
        if fault == Some(Fault::NoMarker) {
            contents.clear();
        }
        let next = if more {
            format!(
                "<NextMarker>{next}</NextMarker>\
                 <NextContinuationToken>{next}</NextContinuationToken>"
            )
        } else {
            String::new()
        };
        document(&format!(
            "<ListBucketResult><Name>{}</Name><Prefix>{}</Prefix><Marker>{}</Marker>\
             <MaxKeys>{most}</MaxKeys><Delimiter>{}</Delimiter>{kind}<KeyCount>{count}</KeyCount>\
             <IsTruncated>{more}</IsTruncated>{next}{contents}{folders}</ListBucketResult>",
            call.bucket,
            shown(prefix),
            shown(after),
            shown(delimiter)
        ))
    }
}

impl State {
    /// Lists the open uploads of a bucket.
    fn open_list(
        &self,
        call: &Call,
        fault: Option<Fault>,
        kind: &str,
        shown: &dyn Fn(&str) -> String,
    ) -> Answer {
        let after = (call.query("key-marker"), call.query("upload-id-marker"));
        let mut open: Vec<(&str, &str, &Begun)> = self
            .uploads
            .iter()
            .filter(|(_, it)| it.name.0 == call.bucket)
            .map(|(id, it)| (it.name.1.as_str(), id.as_str(), it))
            .filter(|(key, id, _)| key.starts_with(call.query("prefix")) && (*key, *id) > after)
            .collect();
        open.sort_unstable_by_key(|(key, id, _)| (*key, *id));
        let more = open.len() > call.page;
        open.truncate(call.page);
        let last = open.last().map_or(("", ""), |(key, id, _)| (*key, *id));
        let (more, next) = match fault {
            Some(Fault::SameMarker) => (true, after),
            Some(Fault::NoMarker) => (true, ("", "")),
            _ => (more, last),
        };
        let text: String = open
            .into_iter()
            .map(|(key, id, it)| {
                format!(
                    "<Upload><Key>{}</Key><UploadId>{id}</UploadId>\
                     <Initiated>{}</Initiated></Upload>",
                    shown(key),
                    iso_date(it.begun)
                )
            })
            .collect();
        document(&format!(
            "<ListMultipartUploadsResult><Bucket>{}</Bucket>{kind}\
             <NextKeyMarker>{}</NextKeyMarker><NextUploadIdMarker>{}</NextUploadIdMarker>\
             <IsTruncated>{more}</IsTruncated>{text}</ListMultipartUploadsResult>",
            call.bucket,
            shown(next.0),
            next.1
        ))
    }
}

/// Compares a body with the checksum that came with it.
fn check_md5(call: &Call) -> Result<(), Answer> {
    let md5 = call.header("content-md5");
    if !md5.is_empty() && md5 != STANDARD.encode(Md5::digest(&call.body)) {
        return Err(refusal(400, "InvalidDigest", ""));
    }
    Ok(())
}

/// Returns the body as the server stores it.
fn arrived(body: &Bytes, fault: Option<Fault>) -> Bytes {
    if fault == Some(Fault::ChangeByte) { changed(body) } else { body.clone() }
}

/// Returns other bytes.
pub(super) fn changed(body: &Bytes) -> Bytes {
    let mut changed = body.to_vec();
    if let Some(byte) = changed.first_mut() {
        *byte ^= 1;
    }
    changed.into()
}

fn metadata(call: &Call, fault: Option<Fault>) -> Headers {
    let mut headers = call.metadata();
    match fault {
        Some(Fault::LoseMetadata) => headers.clear(),
        Some(Fault::NoServerSide) => headers.retain(|(name, _)| !name.contains("-server-side-")),
        _ => {}
    }
    headers
}

/// Returns the contents of every element with this name.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let pieces: Vec<&str> = text
        .split(&open)
        .skip(1)
        .filter_map(|piece| piece.split_once(&close).map(|(inner, _)| inner))
        .collect();
    pieces.into_iter()
}
