//! The objects that nobody writes in the run: those with a chosen IV, and recorded ones.

use std::fs;

use envelope_core::RsaKeyWrapper;
use meta_codec::{Vendor, WrapAlgorithm};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Run, Written, content, hex, says, shared_key};
use crate::{
    case::{self, Shape},
    crafted, key_file, recorded,
};

impl Run<'_> {
    /// Stores the objects that nobody writes now: those with a chosen IV, and recorded ones.
    pub(super) fn given(&self) -> Result<Vec<Written>, String> {
        let mut all = Vec::new();
        let plain = self.plain(case::SHORT);
        let key = fs::read(shared_key("private_key.pem")).map_err(|error| error.to_string())?;
        let key = RsaKeyWrapper::read(&key, None).map_err(|error| error.to_string())?;
        for (index, object) in crafted::objects(self.vendor, &key, plain)?.into_iter().enumerate() {
            let key = format!("crafted-{index}");
            self.bucket.store_with(self.bucket_name(), &key, &object.body, object.headers);
            let sha256 = hex(&Sha256::digest(plain));
            all.push(self.stored(crafted::NAME, object.name, key, sha256, plain.len())?);
        }
        for (index, object) in recorded::objects(self.vendor, &self.kms)?.into_iter().enumerate() {
            let key = format!("recorded-{index}");
            let bucket = self.bucket_name();
            self.bucket.store_with(bucket, &key, &object.body, object.headers);
            if let Some(text) = object.instruction {
                let file = format!("{key}.instruction");
                let headers = vec![("x-cos-meta-crypto-instr-file".to_owned(), String::new())];
                self.bucket.store_with(bucket, &file, text.as_bytes(), headers);
            }
            let (name, sha256) = (object.name, object.plain_sha256);
            let mut written = self.stored(recorded::NAME, name, key, sha256, object.plain_len)?;
            if let (Some(path), Some(master)) = (&object.key, written.master.as_object_mut()) {
                if master.contains_key("key") {
                    let path = key_file::aes(path, &self.folder, &written.key)?;
                    master.insert("key".to_owned(), json!(path));
                } else {
                    let [private, public] = key_file::rsa_pair(path, &self.folder, &written.key)?;
                    master.insert("private_key".to_owned(), json!(private));
                    master.insert("public_key".to_owned(), json!(public));
                }
            }
            all.push(written);
        }
        Ok(all)
    }

    /// Describes an object that is in the store.
    pub(super) fn stored(
        &self,
        writer: &str,
        case: String,
        key: String,
        plain_sha256: String,
        len: usize,
    ) -> Result<Written, String> {
        let metadata =
            self.metadata(&key).ok_or_else(|| format!("{writer} {case}: no metadata"))?;
        let wrap = match metadata.wrap_algorithm() {
            WrapAlgorithm::RsaOaepSha1 if self.vendor == Vendor::Oss => "rsa-oaep",
            algorithm if algorithm.id().starts_with("rsa") => "rsa",
            algorithm if algorithm.id().starts_with("kms") => "kms",
            _ => "aes",
        };
        let content = content(metadata.content_algorithm());
        let in_file = metadata.dialect().id() == "cos-instruction";
        let mut master = self.master(wrap, Shape::Plain);
        let description: Map<String, Value> = metadata
            .description()
            .map()
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        if !description.is_empty()
            && let Some(master) = master.as_object_mut()
        {
            master.insert("description".to_owned(), Value::Object(description));
        }
        let says = says(&metadata);
        self.record(writer, &case, |object| object.says.clone_from(&says));
        let is_ours = hex(&Sha256::digest(self.plain(len))) == plain_sha256;
        Ok(Written {
            writer: writer.to_owned(),
            case,
            key,
            plain_sha256,
            len: is_ours.then_some(len),
            envelope: metadata,
            master,
            content,
            storage: if in_file { "instruction" } else { "header" },
            is_damaged: false,
        })
    }
}
