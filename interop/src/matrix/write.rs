//! The first half of the run: everybody writes.

use std::sync::{Mutex, PoisonError};

use meta_codec::{Vendor, WrapAlgorithm};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Participant, Run, Written, at_once, hex, lock, says};
use crate::{
    case::{self, Case, PART_SIZE, Shape},
    outcome::Outcome,
};

impl Run<'_> {
    /// Lets everybody write.
    pub(super) fn write(&self) -> Result<Vec<Written>, String> {
        let tasks: Vec<_> = self.participants().into_iter().enumerate().collect();
        let written = Mutex::new(self.given()?);
        at_once(tasks, |(number, (name, mut participant))| {
            let cases = match &participant {
                Participant::Sdk(_) => case::of_sdks(self.vendor),
                Participant::Envelope(_) => case::of_envelope(self.vendor),
            };
            for (index, case) in cases.iter().enumerate() {
                let key = format!("w{number}-{index}");
                if let Some(object) = self.write_one(&name, &mut participant, case, &key)? {
                    lock(&written).push(object);
                }
            }
            if name.starts_with("hadoop-cos") {
                self.copy_tree(&name, &mut participant)?;
            }
            Ok(())
        })?;
        let mut written = written.into_inner().unwrap_or_else(PoisonError::into_inner);
        written.sort_by(|a, b| (&a.writer, &a.case).cmp(&(&b.writer, &b.case)));
        Ok(written)
    }

    pub(super) fn write_one(
        &self,
        writer: &str,
        participant: &mut Participant,
        case: &Case,
        key: &str,
    ) -> Result<Option<Written>, String> {
        let plain = self.plain(case.len());
        let file = self.file(&format!("plain-{}", case.len()), plain)?;
        let mut request = self.request("write", key);
        request.insert("file".to_owned(), json!(file));
        request.insert("how".to_owned(), json!(case.how));
        request.insert("part_size".to_owned(), json!(PART_SIZE));
        request.insert("content".to_owned(), json!(case.content));
        request.insert("storage".to_owned(), json!(case.storage));
        request.insert("master".to_owned(), self.master(case.wrap, case.shape));
        if let Some(dialect) = case.dialect {
            request.insert("dialect".to_owned(), json!(dialect));
        }
        if case.shape == Shape::KeyCheck {
            request.insert("key_check".to_owned(), json!(true));
        }
        let mut outcome = participant.ask(&Value::Object(request))?;
        let metadata = self.metadata(key);
        if outcome == Outcome::Works && metadata.is_none() {
            // Uploaded, but without an envelope, or with one that nobody can parse.
            outcome = Outcome::Wrong;
        }
        let says = metadata.as_ref().map(says).unwrap_or_default();
        let works = outcome == Outcome::Works;
        self.record(writer, &case.name(), |object| {
            object.written = outcome;
            object.says = says;
        });
        let Some(envelope) = metadata.filter(|_| works) else { return Ok(None) };
        let wrap = match envelope.wrap_algorithm() {
            WrapAlgorithm::RsaOaepSha1 if self.vendor == Vendor::Oss => "rsa-oaep",
            _ => case.wrap.split('-').next().unwrap_or_default(),
        };
        let mut written = Written {
            writer: writer.to_owned(),
            case: case.name(),
            key: key.to_owned(),
            plain_sha256: hex(&Sha256::digest(plain)),
            len: Some(plain.len()),
            envelope,
            master: self.master(wrap, case.shape),
            content: case.content,
            storage: case.storage,
            is_damaged: false,
        };
        let mut reader = Participant::Envelope(self.envelope());
        let out = self.folder.join(format!("check-{}", key.replace('/', "-")));
        written.is_damaged = self.read_one(&mut reader, &written, "whole", &out)? != Outcome::Works;
        Ok(Some(written))
    }

    /// Lets Hadoop's DistCp copy a small tree, and sees whether the copies have their names.
    pub(super) fn copy_tree(
        &self,
        writer: &str,
        participant: &mut Participant,
    ) -> Result<(), String> {
        let case = Case::new("rsa", "gcm", "put");
        for name in ["one", "sub/two"] {
            let written = self.write_one("", participant, &case, &format!("tree/{name}"))?;
            written.ok_or_else(|| format!("{writer} did not write tree/{name}"))?;
        }
        lock(&self.results).0.remove("");
        let mut request = self.request("distcp", "");
        request.insert("from".to_owned(), json!("tree/"));
        request.insert("to".to_owned(), json!("copies/"));
        request.insert("master".to_owned(), self.master("rsa", Shape::Plain));
        let mut outcome = participant.ask(&Value::Object(request))?;
        let is_there = |name| self.bucket.object(self.bucket_name(), name).is_some();
        if outcome == Outcome::Works && !["copies/one", "copies/sub/two"].into_iter().all(is_there)
        {
            outcome = Outcome::Wrong;
        }
        self.record(writer, "rsa gcm distcp", |object| object.written = outcome);
        Ok(())
    }
}
