//! Copies within the service.

use super::{
    super::{
        Fault,
        answer::{Answer, document, escape, refusal},
        customer_key,
        route::{Call, decode},
        rules,
    },
    Headers, Kept, State, arrived, iso_date, metadata,
    multipart::number,
};

/// The length of the longest object that one request copies: that of OSS. COS copies up to 5 GiB.
const LONGEST: usize = 1 << 30;

impl State {
    /// Sets the length of the longest object that one request copies.
    pub(in super::super) const fn set_longest_copy(&mut self, bytes: usize) {
        self.longest_copy = Some(bytes);
    }

    /// Returns the object that a request copies from.
    fn source(&self, call: &Call) -> Result<&Kept, Answer> {
        let given = call.own_header("copy-source").unwrap_or_default();
        let (path, query) = given.split_once('?').unwrap_or((given, ""));
        let path = decode(path, false);
        let path = path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = bucket.split('.').next().unwrap_or_default();
        let version = query.strip_prefix("versionId=").unwrap_or_default();
        let kept = self.version(bucket, key, version);
        let kept = kept.ok_or_else(|| refusal(404, "NoSuchKey", ""))?;
        let given = customer_key::of_source(call)?;
        customer_key::check(kept.customer.as_deref(), given.as_deref())?;
        if kept.is_archived() {
            return Err(refusal(403, "InvalidObjectState", "the object must be restored first"));
        }
        let tag = call.own_header("copy-source-if-match").unwrap_or(&kept.etag);
        if tag.trim_matches('"') != kept.etag.trim_matches('"') {
            return Err(refusal(412, "PreconditionFailed", ""));
        }
        Ok(kept)
    }

    pub(super) fn copy(&mut self, call: &Call, fault: Option<Fault>) -> Result<Answer, Answer> {
        let name = (call.bucket.clone(), call.key.clone());
        self.forbid_overwrite(call, &name)?;
        let kept = self.source(call)?;
        if kept.bytes.len() > self.longest_copy.unwrap_or(LONGEST) {
            return Err(refusal(400, "EntityTooLarge", "the object is too large for one request"));
        }
        let directive = call.own_header("metadata-directive").unwrap_or("COPY");
        let replaces =
            directive.eq_ignore_ascii_case("replace") || directive.eq_ignore_ascii_case("replaced");
        if replaces && rules::is_encrypted(&kept.headers) {
            return Err(rules::copy());
        }
        let given = metadata(call, fault);
        let mut headers = if replaces { given.clone() } else { described(&kept.headers) };
        // The storage class, the encryption and the access of a copy are those that were asked for.
        if !replaces && fault != Some(Fault::LoseMetadata) {
            headers.extend(given.into_iter().filter(|(name, _)| is_of_place(name)));
        }
        let tagging = call.own_header("tagging-directive").unwrap_or("COPY");
        if !tagging.eq_ignore_ascii_case("replace") && !tagging.eq_ignore_ascii_case("replaced") {
            headers.retain(|(name, _)| !name.ends_with("-tagging"));
            let tags = kept.headers.iter().filter(|(name, _)| name.ends_with("-tagging"));
            headers.extend(tags.cloned());
        }
        let kept =
            Kept::new(arrived(&kept.bytes, fault), headers).with_customer(customer_key::of(call)?);
        let text = document(&format!(
            "<CopyObjectResult><ETag>{}</ETag><LastModified>{}</LastModified></CopyObjectResult>",
            escape(&kept.etag),
            iso_date(kept.written)
        ));
        let mut answer = self.store(name, kept, fault);
        answer.headers.retain(|(name, _)| !name.ends_with("-hash-crc64ecma") && name != "etag");
        answer.headers.extend(text.headers);
        answer.body = text.body;
        Ok(answer)
    }

    pub(super) fn copy_part(
        &mut self,
        call: &Call,
        fault: Option<Fault>,
    ) -> Result<Answer, Answer> {
        let number = number(call)?;
        let source = self.source(call)?;
        // OSS: parts may not be copied from an encrypted object (EC 0042-00000309).
        if rules::is_encrypted(&source.headers) {
            return Err(rules::copy_part());
        }
        let bytes = match call.own_header("copy-source-range") {
            None => source.bytes.clone(),
            Some(range) => {
                let range = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
                let range = range.and_then(|(first, last)| {
                    Some(first.parse::<usize>().ok()?..last.parse::<usize>().ok()?.checked_add(1)?)
                });
                let range = range.filter(|it| it.start < it.end && it.end <= source.bytes.len());
                source.bytes.slice(range.ok_or_else(|| refusal(416, "InvalidRange", ""))?)
            }
        };
        let given = customer_key::of(call)?;
        let begun = self.begun(call)?;
        customer_key::check(begun.customer.as_deref(), given.as_deref())?;
        let kept =
            Kept::new(arrived(&bytes, fault), Headers::new()).with_customer(begun.customer.clone());
        let text = document(&format!(
            "<CopyPartResult><ETag>{}</ETag><LastModified>{}</LastModified></CopyPartResult>",
            escape(&kept.etag),
            iso_date(kept.written)
        ));
        begun.parts.insert(number, kept);
        Ok(text)
    }
}

/// Returns the headers of an object that a copy has without being asked.
fn described(headers: &Headers) -> Headers {
    headers.iter().filter(|(name, _)| !is_of_place(name)).cloned().collect()
}

fn is_of_place(name: &str) -> bool {
    let endings = ["-storage-class", "-acl", "-tagging"];
    name.contains("-server-side-") || endings.iter().any(|ending| name.ends_with(ending))
}
