//! The decisions about a copy: its envelope, its headers, and who makes it.

use envelope_core::{ContentCipher, EncryptedObject, Policy, PolicyError, check_body_len};
use meta_codec::{Dialect, Envelope, Vendor};

use super::{Copy, THRESHOLD};
use crate::{
    CopySource, Headers, ObjectMeta, TransferError,
    kept_headers::{self, is_of_place, is_server_side, kept, translated},
    object_envelope::{envelope_of, is_of_envelope},
    object_name::named,
};

/// An object that is copied, and what the copy will be.
pub(super) struct Plan {
    pub(super) meta: ObjectMeta,
    /// The source for the service, if it makes the copy.
    pub(super) source: Option<CopySource>,
    /// The envelope that it has now.
    pub(super) envelope: Option<Envelope>,
    /// The one that the copy will have, if it is another.
    pub(super) rewrapped: Option<EncryptedObject<ContentCipher>>,
    /// All headers of the copy, but its envelope.
    pub(super) headers: Headers,
}

impl Plan {
    /// All headers of the copy.
    pub(super) fn all_headers(&self) -> Headers {
        let mut headers = self.headers.clone();
        match &self.rewrapped {
            Some(rewrapped) => headers.extend(
                rewrapped.headers().iter().map(|(name, value)| ((*name).to_owned(), value.clone())),
            ),
            None => {
                let old = self.meta.headers.iter().filter(|(name, _)| is_of_envelope(name));
                headers.extend(old.cloned());
            }
        }
        headers
    }

    /// Returns whether an object has the same bytes, as far as the stores report it.
    pub(super) fn has_bytes_of(&self, there: &ObjectMeta) -> bool {
        there.crc64.is_some() && (there.len, there.crc64) == (self.meta.len, self.meta.crc64)
    }

    /// The envelope of the copy.
    pub(super) fn new_envelope(&self) -> Option<&Envelope> {
        match &self.rewrapped {
            Some(rewrapped) => Some(rewrapped.envelope()),
            None => self.envelope.as_ref(),
        }
    }
}

impl Copy {
    /// Looks at the object, and decides what the copy will be.
    pub(super) async fn plan(&self, meta: ObjectMeta) -> Result<Plan, TransferError> {
        let (from, to) = (&self.from, &self.to);
        let vendor = to.store.vendor();
        let envelope = envelope_of(&*from.store, &from.key, &meta).await?;
        envelope.iter().for_each(|envelope| self.inspector.inspect(envelope));
        self.admit(envelope.as_ref())?;
        let reason = envelope.as_ref().and_then(|envelope| self.reason(envelope, vendor));
        let source = self.service_source(&meta, envelope.is_some(), reason.is_some());
        let rewrapped = match &envelope {
            Some(envelope) => self.rewrapped(&meta, envelope, reason, source.is_some()).await?,
            None => None,
        };
        let headers = self.headers(&meta, vendor).await?;
        Ok(Plan { meta, source, envelope, rewrapped, headers })
    }

    /// Decides whether the object may be copied.
    fn admit(&self, envelope: Option<&Envelope>) -> Result<(), TransferError> {
        let policy = self.keys.as_ref().map(|keys| keys.decryptor.policy());
        let Some(envelope) = envelope else {
            let is_within = self.from.store.vendor() == self.to.store.vendor();
            let demands = policy.is_some_and(Policy::demands_protection);
            let is_allowed =
                self.allow_plaintext || policy.is_some_and(|it| it.admit(None).is_ok());
            return match !demands && (is_within || is_allowed) {
                true => Ok(()),
                false => Err(PolicyError::NotEncrypted.into()),
            };
        };
        // It would be written again as it is.
        if let Some(refusal) = envelope.refusal() {
            return Err(refusal.clone().into());
        }
        policy.map_or(Ok(()), |policy| policy.admit(Some(envelope)).map_err(Into::into))
    }

    /// Returns why the copy cannot have the envelope that the object has, or is not to have it.
    fn reason(&self, envelope: &Envelope, vendor: Option<Vendor>) -> Option<&'static str> {
        let is_bound = envelope.is_bound_to_name();
        if vendor.is_some_and(|vendor| envelope.dialect().vendor() != vendor) {
            return Some("its metadata is in the dialect of another service");
        }
        if is_bound && self.from.key != self.to.key {
            return Some("its seal is bound to its name");
        }
        if envelope.dialect() == Dialect::COS_INSTRUCTION {
            return Some("its envelope is in an instruction file");
        }
        self.keys.as_ref().filter(|keys| keys.always).map(|_| "it is to have another one")
    }

    /// Returns what the service copies from, if it can make the copy.
    fn service_source(
        &self,
        meta: &ObjectMeta,
        is_encrypted: bool,
        has_new_envelope: bool,
    ) -> Option<CopySource> {
        let (from, to) = (&self.from, &self.to);
        let vendor = to.store.vendor().filter(|vendor| from.store.vendor() == Some(*vendor))?;
        let source = from.store.copy_source(&from.key, meta);
        let source = source.filter(|source| to.store.can_copy(source))?;
        let is_new = self.replaces(has_new_envelope) && vendor.forbids_new_metadata();
        let is_long = meta.len > self.longest_copy() && !vendor.copies_parts_of_encrypted();
        (!is_encrypted || !(is_new || is_long)).then_some(source)
    }

    /// Returns whether a copy by the service has other metadata than the object.
    pub(super) fn replaces(&self, has_new_envelope: bool) -> bool {
        has_new_envelope || self.headers.iter().any(|(name, _)| !is_of_place(name))
    }

    /// Returns the new envelope, if the copy cannot have the old one, or is not to have it.
    async fn rewrapped(
        &self,
        meta: &ObjectMeta,
        envelope: &Envelope,
        reason: Option<&'static str>,
        by_service: bool,
    ) -> Result<Option<EncryptedObject<ContentCipher>>, TransferError> {
        let states_parts = !by_service && self.lacks_parts(meta.len, envelope);
        let parts = states_parts.then_some("its metadata must state the parts of the copy");
        let Some(reason) = reason.or(parts) else {
            return self.verify(meta, envelope).await.map(|()| None);
        };
        let keys = self.keys.as_ref().ok_or(TransferError::NeedsKey(reason))?;
        check_body_len(envelope, meta.len)?;
        let dialect = keys.encryptor.dialect();
        if let Some(vendor) = self.to.store.vendor().filter(|it| *it != dialect.vendor()) {
            return Err(TransferError::Vendor { dialect, vendor });
        }
        let mut encryptor = keys.encryptor.clone().with_new_name(self.to.key.as_str());
        if states_parts && let Some(plan) = self.put().layout_to_state(meta.len, dialect)? {
            encryptor = encryptor.with_parts(plan);
        }
        let decryptor = named(&keys.decryptor, &self.from.key);
        Ok(Some(decryptor.rewrap_async(envelope, &encryptor).await?))
    }

    /// Verifies what the policy demands, where nothing else opens the envelope.
    async fn verify(&self, meta: &ObjectMeta, envelope: &Envelope) -> Result<(), TransferError> {
        let keys = self.keys.as_ref();
        let Some(keys) = keys.filter(|keys| keys.decryptor.policy().demands_protection()) else {
            return Ok(());
        };
        check_body_len(envelope, meta.len)?;
        named(&keys.decryptor, &self.from.key).decrypt_async(envelope).await?;
        Ok(())
    }

    /// Returns whether the metadata of a copy that passes by here must state its parts, and does
    /// not.
    fn lacks_parts(&self, len: u64, envelope: &Envelope) -> bool {
        let stated = self.to.store.vendor().is_some_and(Vendor::needs_encryption_headers_on_parts);
        stated && envelope.layout().is_none() && len > self.threshold()
    }

    pub(super) fn threshold(&self) -> u64 {
        self.part_size.unwrap_or(THRESHOLD)
    }

    pub(super) fn longest_copy(&self) -> u64 {
        let of_vendor = self.to.store.vendor().map_or(0, Vendor::longest_copy);
        self.longest.unwrap_or(of_vendor)
    }

    /// Returns the headers of the copy, but its envelope.
    async fn headers(
        &self,
        meta: &ObjectMeta,
        vendor: Option<Vendor>,
    ) -> Result<Headers, TransferError> {
        let (from, listener) = (&self.from, &self.listener);
        if kept(&meta.headers).iter().any(|(_, value)| value.contains('\u{fffd}')) {
            let words = "a header of the object is not UTF-8, and would be changed";
            return Err(TransferError::Corrupt(words.to_owned()));
        }
        let mut headers = kept(&meta.headers);
        let overrides = |name: &str| self.headers.iter().any(|(other, _)| other == name);
        // Another service has other accounts. A folder has the headers of any service.
        if vendor.is_none() || from.store.vendor() == vendor {
            let access = kept_headers::access(&*from.store, &from.key, listener).await?;
            headers.extend(access);
        }
        if let Some(vendor) = vendor {
            headers = translated(headers, vendor);
        }
        if let Some(server_side) = &self.server_side {
            headers.retain(|(name, _)| !is_server_side(name));
            headers.extend(server_side.iter().cloned());
        }
        headers.retain(|(name, _)| !overrides(name));
        headers.extend(self.headers.iter().cloned());
        Ok(headers)
    }
}
