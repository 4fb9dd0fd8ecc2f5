//! Multipart uploads.

use std::collections::BTreeMap;

use bytes::BytesMut;
use jiff::Timestamp;
use md5::{Digest as _, Md5};

use super::{
    super::{
        Fault,
        answer::{Answer, document, escape, refusal},
        customer_key,
        route::Call,
        rules,
        signature::hex,
    },
    Begun, Headers, Kept, State, arrived, check_md5, condition, elements, iso_date, metadata,
    server_side,
};

impl State {
    pub(super) fn initiate(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let announced = rules::initiate(call)?;
        self.forbid_overwrite(call, &(call.bucket.clone(), call.key.clone()))?;
        self.count += 1;
        let id = format!("{:032X}", self.count);
        let name = (call.bucket.clone(), call.key.clone());
        let mut headers = metadata(call, fault);
        // OSS takes the access with the request that completes the upload.
        headers.retain(|(name, _)| name != "x-oss-object-acl");
        let (parts, begun) = (BTreeMap::new(), Timestamp::now());
        let customer = customer_key::of(call)?;
        let mut told = customer_key::headers(customer.as_deref());
        told.extend(server_side(&headers));
        let upload = Begun { name, headers, customer, announced, parts, begun };
        self.uploads.insert(id.clone(), upload);
        let mut answer = document(&format!(
            "<InitiateMultipartUploadResult><Bucket>{}</Bucket><Key>{}</Key>\
             <UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
            call.bucket,
            escape(&call.key)
        ));
        answer.headers.extend(told);
        Ok(answer)
    }

    pub(super) fn begun(&mut self, call: &Call) -> Result<&mut Begun, Answer> {
        let id = call.query("uploadId");
        self.uploads.get_mut(id).ok_or_else(|| refusal(404, "NoSuchUpload", ""))
    }

    pub(super) fn part(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let begun = self.begun(call)?;
        customer_key::check(begun.customer.as_deref(), customer_key::of(call)?.as_deref())?;
        let number = number(call)?;
        if let Some(announced) = &begun.announced {
            rules::part(call, announced, number)?;
        }
        check_md5(call)?;
        let kept = Kept::new(arrived(&call.body, fault), Headers::new())
            .with_customer(begun.customer.clone());
        let answer = kept.answer(fault);
        begun.parts.insert(number, kept);
        Ok(answer)
    }

    pub(super) fn parts(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
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

    pub(super) fn complete(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let name = self.begun(call)?.name.clone();
        condition::of_writing(call, self.objects.get(&name))?;
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
        let (headers, customer) = (begun.headers.clone(), begun.customer.clone());
        self.uploads.remove(call.query("uploadId"));
        let access = call.headers.get_key_value("x-oss-object-acl");
        let access = access.map(|(name, value)| (name.clone(), value.clone()));
        let mut headers = if fault == Some(Fault::LoseMetadata) { Headers::new() } else { headers };
        headers.extend(access);
        let mut kept = Kept::new(whole.freeze(), headers).with_customer(customer);
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
}

/// Returns the number of the part of a request.
pub(super) fn number(call: &Call) -> Result<u64, Answer> {
    let number = call.query("partNumber").parse().ok().filter(|n| (1..=10_000).contains(n));
    number.ok_or_else(|| refusal(400, "InvalidArgument", "partNumber"))
}
