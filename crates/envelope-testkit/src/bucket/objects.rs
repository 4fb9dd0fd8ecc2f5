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
    uploads: BTreeMap<String, Begun>,
    count: u64,
}

#[derive(Clone)]
struct Kept {
    bytes: Bytes,
    headers: Headers,
    etag: String,
    crc64: u64,
    written: Timestamp,
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
            bytes,
            headers,
        }
    }

    fn answer(&self, fault: Option<Fault>) -> Answer {
        let wrong = u64::from(fault == Some(Fault::WrongChecksum));
        let crc64 = (self.crc64 ^ wrong).to_string();
        let headers = vec![
            ("etag".to_owned(), self.etag.clone()),
            ("x-oss-hash-crc64ecma".to_owned(), crc64.clone()),
            ("x-cos-hash-crc64ecma".to_owned(), crc64),
            ("last-modified".to_owned(), http_date(self.written)),
        ];
        Answer { status: 200, headers, body: Bytes::new() }
    }
}

fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn iso_date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

impl State {
    pub(super) fn object(&self, bucket: &str, key: &str) -> Option<(Bytes, Headers)> {
        let kept = self.objects.get(&(bucket.to_owned(), key.to_owned()))?;
        Some((kept.bytes.clone(), kept.headers.clone()))
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
            "PUT" if call.key.is_empty() => Ok(Answer { status: 200, ..Answer::default() }),
            "PUT" if has("uploadId") => self.part(call, fault),
            "PUT" if call.own_header("copy-source").is_some() => self.copy(call, fault),
            "PUT" => self.put(call, fault),
            "POST" if has("uploads") => self.initiate(call, fault),
            "POST" if has("uploadId") => self.complete(call, fault),
            "POST" if has("append") => self.append(call),
            "GET" if has("uploadId") => self.parts(call),
            "GET" | "HEAD" => self.get(call, fault),
            "DELETE" if has("uploadId") => match self.uploads.remove(call.query("uploadId")) {
                Some(_) => Ok(Answer { status: 204, ..Answer::default() }),
                None => Err(refusal(404, "NoSuchUpload", "")),
            },
            "DELETE" => {
                self.objects.remove(&(call.bucket.clone(), call.key.clone()));
                Ok(Answer { status: 204, ..Answer::default() })
            }
            _ => Err(refusal(405, "MethodNotAllowed", "")),
        }
    }

    fn put(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        rules::put(call)?;
        let name = (call.bucket.clone(), call.key.clone());
        if call.own_header("forbid-overwrite") == Some("true") && self.objects.contains_key(&name) {
            return Err(refusal(409, "FileAlreadyExists", ""));
        }
        let md5 = call.header("content-md5");
        if !md5.is_empty() && md5 != STANDARD.encode(Md5::digest(&call.body)) {
            return Err(refusal(400, "InvalidDigest", ""));
        }
        let kept = Kept::new(arrived(&call.body, fault), metadata(call, fault));
        let answer = kept.answer(fault);
        self.objects.insert(name, kept);
        Ok(answer)
    }

    fn initiate(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let announced = rules::initiate(call)?;
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
        let kept = Kept::new(arrived(&call.body, fault), Headers::new());
        let answer = kept.answer(fault);
        begun.parts.insert(number, kept);
        Ok(answer)
    }

    fn parts(&mut self, call: &Call) -> Result<Answer, Answer> {
        let begun = self.begun(call)?;
        let after: u64 = call.query("part-number-marker").parse().unwrap_or(0);
        let most: usize = call.query("max-parts").parse().unwrap_or(1000);
        let mut listed: Vec<_> = begun.parts.range(after + 1..).take(most + 1).collect();
        let more = listed.len() > most;
        listed.truncate(most);
        let next = listed.last().map_or(0, |(number, _)| **number);
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
             <IsTruncated>{more}</IsTruncated>{parts}</ListPartsResult>",
            call.bucket,
            escape(&call.key),
            call.query("uploadId")
        )))
    }

    fn complete(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let begun = self.begun(call)?;
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let numbers: Vec<u64> =
            elements(&text, "PartNumber").map_while(|n| n.parse().ok()).collect();
        let tags: Vec<String> =
            elements(&text, "ETag").map(|tag| tag.replace("&quot;", "").replace('"', "")).collect();
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
        let (name, headers) = (begun.name.clone(), begun.headers.clone());
        self.uploads.remove(call.query("uploadId"));
        let headers = if fault == Some(Fault::LoseMetadata) { Headers::new() } else { headers };
        let mut kept = Kept::new(whole.freeze(), headers);
        let digest = hex(&digests.finalize()).to_uppercase();
        kept.etag = format!("\"{digest}-{}\"", numbers.len());
        let mut answer = kept.answer(fault);
        let text = document(&format!(
            "<CompleteMultipartUploadResult><Location>x</Location><Bucket>{}</Bucket>\
             <Key>{}</Key><ETag>{}</ETag></CompleteMultipartUploadResult>",
            name.0,
            escape(&name.1),
            escape(&kept.etag)
        ));
        answer.headers.extend(text.headers);
        answer.body = text.body;
        self.objects.insert(name, kept);
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
        let kept = Kept::new(kept.bytes.clone(), headers);
        let answer = document(&format!(
            "<CopyObjectResult><ETag>{}</ETag><LastModified>{}</LastModified></CopyObjectResult>",
            escape(&kept.etag),
            iso_date(kept.written)
        ));
        self.objects.insert((call.bucket.clone(), call.key.clone()), kept);
        Ok(answer)
    }

    fn get(&self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let kept = self.objects.get(&(call.bucket.clone(), call.key.clone()));
        let kept = kept.ok_or_else(|| refusal(404, "NoSuchKey", "no such key"))?;
        let wanted = call.header("if-match");
        if !wanted.is_empty() && wanted.trim_matches('"') != kept.etag.trim_matches('"') {
            return Err(refusal(412, "PreconditionFailed", ""));
        }
        let mut answer = kept.answer(fault);
        answer.headers.push(("accept-ranges".to_owned(), "bytes".to_owned()));
        if fault != Some(Fault::LoseMetadata) {
            answer.headers.extend(kept.headers.iter().cloned());
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
            let key = key.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
            let plain = if encoded { decode(&key, false) } else { key };
            deleted.push_str(&format!("<Deleted><Key>{}</Key></Deleted>", escape(&plain)));
            self.objects.remove(&(call.bucket.clone(), plain));
        }
        document(&format!("<DeleteResult>{deleted}</DeleteResult>"))
    }

    /// Lists the objects or the open multipart uploads of a bucket.
    pub(super) fn list(&self, call: &Call) -> Answer {
        let encoded = call.query("encoding-type") == "url";
        let shown = |key: &str| if encoded { encode(key, "/") } else { escape(key) };
        let kind = if encoded { "<EncodingType>url</EncodingType>" } else { "" };
        let prefix = call.query("prefix");
        if call.query.contains_key("location") {
            return document("<LocationConstraint>loop</LocationConstraint>");
        }
        if call.query.contains_key("uploads") {
            let open: String = self
                .uploads
                .iter()
                .filter(|(_, it)| it.name.0 == call.bucket && it.name.1.starts_with(prefix))
                .map(|(id, it)| {
                    format!(
                        "<Upload><Key>{}</Key><UploadId>{id}</UploadId>\
                         <Initiated>{}</Initiated></Upload>",
                        shown(&it.name.1),
                        iso_date(it.begun)
                    )
                })
                .collect();
            return document(&format!(
                "<ListMultipartUploadsResult><Bucket>{}</Bucket>{kind}\
                 <IsTruncated>false</IsTruncated>{open}</ListMultipartUploadsResult>",
                call.bucket
            ));
        }
        let after = ["continuation-token", "start-after", "marker"]
            .iter()
            .map(|name| call.query(name))
            .find(|after| !after.is_empty())
            .unwrap_or_default();
        let most = call.query("max-keys").parse().unwrap_or(1000_usize);
        let delimiter = call.query("delimiter");
        let (mut contents, mut folders) = (String::new(), BTreeSet::new());
        let (mut count, mut last, mut more) = (0, String::new(), false);
        for ((bucket, key), kept) in &self.objects {
            if *bucket != call.bucket || !key.starts_with(prefix) || key.as_str() <= after {
                continue;
            }
            let rest = key.get(prefix.len()..).unwrap_or_default();
            let folder = rest.split_once(delimiter).filter(|_| !delimiter.is_empty());
            let folder = folder.map(|(name, _)| format!("{prefix}{name}{delimiter}"));
            if folder.as_ref().is_some_and(|folder| folders.contains(folder)) {
                last.clone_from(key);
                continue;
            }
            if count >= most {
                more = true;
                break;
            }
            count += 1;
            last.clone_from(key);
            if let Some(folder) = folder {
                folders.insert(folder);
                continue;
            }
            contents.push_str(&format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                 <Type>Normal</Type><Size>{}</Size><StorageClass>Standard</StorageClass>\
                 <Owner><ID>0</ID><DisplayName>0</DisplayName></Owner></Contents>",
                shown(key),
                iso_date(kept.written),
                escape(&kept.etag),
                kept.bytes.len()
            ));
        }
        let folders: String = folders
            .iter()
            .map(|it| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", shown(it)))
            .collect();
        let next = shown(&last);
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

/// Returns the body as the server receives it.
fn arrived(body: &Bytes, fault: Option<Fault>) -> Bytes {
    if fault != Some(Fault::ChangeByte) {
        return body.clone();
    }
    let mut changed = body.to_vec();
    if let Some(byte) = changed.first_mut() {
        *byte ^= 1;
    }
    changed.into()
}

fn metadata(call: &Call, fault: Option<Fault>) -> Headers {
    if fault == Some(Fault::LoseMetadata) { Headers::new() } else { call.metadata() }
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
