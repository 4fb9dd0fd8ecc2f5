//! Requests about an object besides its body: tags, access control, and restoring it from an
//! archive.

use super::{
    super::{
        answer::{Answer, document, escape, refusal},
        customer_key,
        route::{Call, decode, encode},
    },
    Kept, State, elements,
};

impl Kept {
    /// Returns the value of a header that ends like this.
    fn own(&self, ending: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| name.ends_with(ending));
        found.map(|(_, value)| value.as_str())
    }

    fn set_own(&mut self, call: &Call, ending: &str, name: &str, value: String) {
        self.headers.retain(|(name, _)| !name.ends_with(ending));
        let vendor = if call.headers.keys().any(|name| name.starts_with("x-oss-")) {
            "x-oss-"
        } else {
            "x-cos-"
        };
        if !value.is_empty() {
            self.headers.push((format!("{vendor}{name}"), value));
        }
    }

    pub(super) fn tags(&self) -> Vec<(String, String)> {
        let pairs = self.own("-tagging").unwrap_or_default().split('&');
        let pairs = pairs.filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| (decode(name, true), decode(value, true))).collect()
    }

    /// Returns whether the object is in an archive, and has to be restored before it is read.
    pub(super) fn is_archived(&self) -> bool {
        let class = self.own("-storage-class").unwrap_or_default().to_ascii_lowercase();
        class.contains("archive") && self.restored.is_none()
    }
}

impl State {
    /// Returns the version of an object that a request is about.
    fn kept(&mut self, call: &Call) -> Result<&mut Kept, Answer> {
        let (name, id) = ((call.bucket.clone(), call.key.clone()), call.query("versionId"));
        let current = self.objects.get_mut(&name).into_iter();
        let old = self.old.get_mut(&name).into_iter().flatten().filter(|kept| !kept.is_marker);
        let is_it = |kept: &&mut Kept| kept.version.as_deref() == Some(id);
        let found = match id.is_empty() {
            true => { current }.next(),
            false => current.chain(old).find(is_it),
        };
        found.ok_or_else(|| refusal(404, "NoSuchKey", "no such key"))
    }

    pub(super) fn tagging(&mut self, call: &Call) -> Result<Answer, Answer> {
        let kept = self.kept(call)?;
        match call.method.as_str() {
            "GET" => {
                let tags = kept.tags().into_iter().map(|(name, value)| {
                    let (name, value) = (escape(&name), escape(&value));
                    format!("<Tag><Key>{name}</Key><Value>{value}</Value></Tag>")
                });
                let tags: String = tags.collect();
                return Ok(document(&format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")));
            }
            "PUT" => {
                let text = String::from_utf8_lossy(&call.body).into_owned();
                let tags = elements(&text, "Key").zip(elements(&text, "Value"));
                let tags: Vec<String> = tags
                    .map(|(name, value)| format!("{}={}", encode(name, ""), encode(value, "")))
                    .collect();
                kept.set_own(call, "-tagging", "tagging", tags.join("&"));
            }
            _ => kept.set_own(call, "-tagging", "tagging", String::new()),
        }
        Ok(Answer { status: 200, ..Answer::default() })
    }

    /// OSS has a word for the access to an object, and COS has grants.
    pub(super) fn acl(&mut self, call: &Call) -> Result<Answer, Answer> {
        let is_cos = call.header("authorization").starts_with("q-sign-algorithm");
        let given = call.own_header("object-acl").or_else(|| call.own_header("acl"));
        let kept = self.kept(call)?;
        if call.method == "PUT" {
            let name = if is_cos { "acl" } else { "object-acl" };
            kept.set_own(call, "-acl", name, given.unwrap_or_default().to_owned());
            return Ok(Answer { status: 200, ..Answer::default() });
        }
        let acl = kept.own("-acl").unwrap_or("default").to_owned();
        if !is_cos {
            return Ok(document(&format!(
                "<AccessControlPolicy><Owner><ID>0</ID><DisplayName>0</DisplayName></Owner>\
                 <AccessControlList><Grant>{acl}</Grant></AccessControlList></AccessControlPolicy>"
            )));
        }
        let everyone = "<Grant><Grantee><URI>http://cam.qcloud.com/groups/global/AllUsers</URI>\
             </Grantee><Permission>READ</Permission></Grant>";
        let everyone = if acl == "public-read" { everyone } else { "" };
        let mut answer = document(&format!(
            "<AccessControlPolicy><Owner><ID>qcs::cam::uin/1:uin/1</ID></Owner>\
             <AccessControlList><Grant><Grantee><ID>qcs::cam::uin/1:uin/1</ID></Grantee>\
             <Permission>FULL_CONTROL</Permission></Grant>{everyone}</AccessControlList>\
             </AccessControlPolicy>"
        ));
        // Where the object has an access of its own, only the grants say so.
        if acl == "default" {
            answer.headers.push(("x-cos-acl".to_owned(), acl));
        }
        Ok(answer)
    }

    /// Restores an archived object at once, which takes the services hours.
    pub(super) fn restore(&mut self, call: &Call) -> Result<Answer, Answer> {
        let key = customer_key::of(call)?;
        let kept = self.kept(call)?;
        customer_key::check(kept.customer.as_deref(), key.as_deref())?;
        let text = String::from_utf8_lossy(&call.body).into_owned();
        let days = elements(&text, "Days").next().and_then(|days| days.parse::<u32>().ok());
        let days = days.filter(|days| (1..=365).contains(days));
        let days = days.ok_or_else(|| refusal(400, "MalformedXML", "Days"))?;
        let tier = elements(&text, "Tier").next().unwrap_or("Standard");
        if !matches!(tier, "Expedited" | "Standard" | "Bulk") {
            return Err(refusal(400, "MalformedXML", "Tier"));
        }
        let was_restored = kept.restored.is_some();
        if !was_restored && !kept.is_archived() {
            return Err(refusal(403, "InvalidObjectState", "the object is not archived"));
        }
        kept.restored = Some(format!("{days} days, {tier}"));
        let status = if was_restored { 200 } else { 202 };
        Ok(Answer { status, ..Answer::default() })
    }
}
