//! Objects and multipart uploads, and the operations on them.

mod attributes;
mod condition;
mod copy;
mod listing;
mod multipart;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use jiff::Timestamp;
use md5::{Digest as _, Md5};

use super::{
    Fault,
    answer::{Answer, document, escape, refusal},
    customer_key, http_date,
    route::{Call, decode},
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
    /// The length of the longest object that one request copies.
    longest_copy: Option<usize>,
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
    /// The digest of the customer key that it is encrypted with.
    customer: Option<String>,
    /// The request that restored it from an archive.
    restored: Option<String>,
    /// `true` for a mark that only says that the object was deleted.
    is_marker: bool,
}

struct Begun {
    name: Name,
    headers: Headers,
    customer: Option<String>,
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
            customer: None,
            restored: None,
            is_marker: false,
            bytes,
            headers,
        }
    }

    /// Sets the customer key. The entity tag is not the MD5 of the bytes then.
    fn with_customer(mut self, customer: Option<String>) -> Self {
        if let Some(customer) = &customer {
            let tag = Md5::digest(format!("{}{customer}", self.etag));
            self.etag = format!("\"{}\"", hex(&tag).to_uppercase());
        }
        self.customer = customer;
        self
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
        for name in ["x-oss-version-id", "x-cos-version-id", "x-amz-version-id"] {
            headers.extend(self.version.clone().map(|version| (name.to_owned(), version)));
        }
        if fault != Some(Fault::NoServerSide) {
            headers.extend(customer_key::headers(self.customer.as_deref()));
            headers.extend(server_side(&self.headers));
        }
        if self.restored.is_some() {
            let restored =
                "ongoing-request=\"false\", expiry-date=\"Fri, 01 Jan 2100 00:00:00 GMT\"";
            for name in ["x-oss-restore", "x-cos-restore"] {
                headers.push((name.to_owned(), restored.to_owned()));
            }
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

    /// Returns a version of an object, or the current one.
    fn version(&self, bucket: &str, key: &str, version: &str) -> Option<&Kept> {
        if version.is_empty() {
            return self.find(bucket, key);
        }
        let name = (bucket.to_owned(), key.to_owned());
        let old = self.old.get(&name).into_iter().flatten().filter(|kept| !kept.is_marker);
        let all = old.chain(self.objects.get(&name));
        all.into_iter().find(|kept| kept.version.as_deref() == Some(version))
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
        let old = self.old.get(&name).into_iter().flatten().filter(|kept| !kept.is_marker);
        old.count() + usize::from(self.objects.contains_key(&name))
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
        let old = self.old.entry(name.clone()).or_default();
        if version.is_empty() {
            let removed = self.objects.remove(&name);
            if self.keeps_versions {
                old.extend(removed);
                self.count += 1;
                let mut marker = Kept::new(Bytes::new(), Headers::new());
                marker.version = Some(format!("V{}", self.count));
                marker.is_marker = true;
                old.push(marker);
            }
        } else {
            let is_it = |kept: &Kept| kept.version.as_deref() == Some(version);
            if self.objects.get(&name).is_some_and(is_it) {
                self.objects.remove(&name);
            }
            old.retain(|kept| !is_it(kept));
            // The one before it is the current one again, unless it says that there is none.
            if !self.objects.contains_key(&name)
                && let Some(last) = old.pop()
            {
                if last.is_marker {
                    old.push(last);
                } else {
                    self.objects.insert(name, last);
                }
            }
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
            "PUT" | "GET" | "DELETE" if has("tagging") => self.tagging(call),
            "PUT" | "GET" if has("acl") => self.acl(call),
            "POST" if has("restore") => self.restore(call),
            "PUT" if has("uploadId") && call.own_header("copy-source").is_some() => {
                self.copy_part(call, fault)
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
        condition::of_writing(call, self.objects.get(&name))?;
        self.forbid_overwrite(call, &name)?;
        check_md5(call)?;
        let kept = Kept::new(arrived(&call.body, fault), metadata(call, fault))
            .with_customer(customer_key::of(call)?);
        Ok(self.store(name, kept, fault))
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

    fn get(&self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let kept = self.version(&call.bucket, &call.key, call.query("versionId"));
        let kept = kept.ok_or_else(|| refusal(404, "NoSuchKey", "no such key"))?;
        customer_key::check(kept.customer.as_deref(), customer_key::of(call)?.as_deref())?;
        if call.method == "GET" && kept.is_archived() {
            return Err(refusal(403, "InvalidObjectState", "the object must be restored first"));
        }
        condition::of_reading(call, kept)?;
        let mut answer = kept.answer(fault);
        answer.headers.push(("accept-ranges".to_owned(), "bytes".to_owned()));
        if fault != Some(Fault::LoseMetadata) {
            // Nobody is told the tags that way, but their number.
            let is_told = |name: &str| !name.ends_with("-tagging") && !name.ends_with("-acl");
            let told = kept.headers.iter().filter(|(name, _)| is_told(name));
            answer.headers.extend(told.cloned());
            let count = kept.tags().len();
            for name in ["x-oss-tagging-count", "x-cos-tagging-count"] {
                let count = Some(count).filter(|count| *count > 0);
                answer.headers.extend(count.map(|it| (name.to_owned(), it.to_string())));
            }
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
}

/// Returns the headers that say how the store encrypts an object.
fn server_side(headers: &Headers) -> impl Iterator<Item = (String, String)> + use<'_> {
    headers.iter().filter(|(name, _)| name.contains("-server-side-")).cloned()
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
