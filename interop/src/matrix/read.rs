//! The second half of the run: everybody reads.

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Participant, Run, Written, at_once, hex, lock};
use crate::{case, outcome::Outcome, table};

const RANGES: [&str; 3] = ["100-199", "17-", "-16"];

impl Run<'_> {
    /// Lets everybody read.
    pub(super) fn read(&self, written: &[Written]) -> Result<(), String> {
        let tasks: Vec<_> = self.participants().into_iter().enumerate().collect();
        at_once(tasks, |(number, (reader, mut participant))| {
            let (out, begun) = (self.folder.join(format!("out-{number}")), Instant::now());
            for object in written {
                let mut reads = BTreeMap::new();
                for kind in kinds(object) {
                    let outcome = self.read_one(&mut participant, object, kind, &out)?;
                    reads.insert(kind.to_owned(), outcome);
                }
                let row = self.builds().find(|build| build.name() == reader);
                let row = row.and_then(|build| table::reader(&build.sdk, &build.version));
                if let Some(row) = row.filter(|_| !object.is_damaged) {
                    let is_empty = object.len == Some(0);
                    let mistake =
                        table::mistake(row, &object.envelope, &object.case, is_empty, &reads);
                    lock(&self.mistakes).extend(mistake);
                }
                self.record(&object.writer, &object.case, |it| {
                    it.readers.insert(reader.clone(), reads);
                });
            }
            eprintln!("{reader}: {} objects read in {:.0?}", written.len(), begun.elapsed());
            Ok(())
        })
    }

    pub(super) fn read_one(
        &self,
        participant: &mut Participant,
        object: &Written,
        kind: &str,
        out: &Path,
    ) -> Result<Outcome, String> {
        let _ = fs::remove_file(out);
        let mut request = self.request("read", &object.key);
        request.insert("out".to_owned(), json!(out));
        request.insert("content".to_owned(), json!(object.content));
        request.insert("storage".to_owned(), json!(object.storage));
        let (mut main, mut others) = (object.master.clone(), Vec::new());
        match kind {
            "whole" => {}
            "keys" => {
                let [private, public] = &self.other_key;
                let description = json!({ "team": "other" });
                let other = json!({ "wrap": "rsa", "private_key": private, "public_key": public,
                    "description": description });
                others.push(std::mem::replace(&mut main, other));
            }
            range => {
                request.insert("range".to_owned(), json!(range));
            }
        }
        request.insert("master".to_owned(), main);
        request.insert("others".to_owned(), json!(others));
        let outcome = participant.ask(&Value::Object(request))?;
        if outcome != Outcome::Works {
            return Ok(outcome);
        }
        let bytes = fs::read(out).unwrap_or_default();
        Ok(if self.is_right(object, kind, &bytes) { Outcome::Works } else { Outcome::Wrong })
    }

    /// Returns whether bytes that were read are the right ones.
    pub(super) fn is_right(&self, object: &Written, kind: &str, bytes: &[u8]) -> bool {
        if !RANGES.contains(&kind) {
            return hex(&Sha256::digest(bytes)) == object.plain_sha256;
        }
        let plain = object.len.map(|len| self.plain(len)).unwrap_or_default();
        let wanted = match kind {
            "100-199" => plain.get(100..200),
            "17-" => plain.get(17..),
            _ => plain.get(plain.len().saturating_sub(16)..),
        };
        wanted == Some(bytes)
    }
}

/// Returns the ways in which an object is read.
fn kinds(object: &Written) -> Vec<&'static str> {
    let mut kinds = vec!["whole"];
    if object.is_damaged {
        return kinds;
    }
    if object.len.is_some_and(|len| len >= case::SHORT) {
        kinds.extend(RANGES);
    }
    let has_description = object.master.get("description").is_some();
    if has_description && object.master.get("wrap") == Some(&json!("rsa")) {
        kinds.push("keys");
    }
    kinds
}
