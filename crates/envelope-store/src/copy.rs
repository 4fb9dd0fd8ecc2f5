//! Copies of objects, within a service or from one to another.

mod by_service;

use std::{sync::Arc, time::Duration};

use envelope_core::{
    ContentCipher, Decryptor, EncryptedObject, Encryptor, Policy, PolicyError, check_body_len,
};
use meta_codec::{Dialect, Envelope, Vendor};

use crate::{
    CopySource, Event, Headers, ObjectMeta, Put, RetryPolicy, StopSignal, Store, StoreError,
    TransferError,
    inspector::Inspector,
    kept_headers::{self, is_of_place, is_server_side, kept, translated},
    master_key,
    object_envelope::{
        check_budget, envelope_in, envelope_of, instruction_key, is_elsewhere, is_of_envelope,
    },
    object_name::named,
    progress::ProgressListener,
    put::StoredObject,
};

/// A little more than the time between two times that a store tells apart.
const SECOND: Duration = Duration::from_millis(1100);
/// The longest object that passes by here in one piece, by default.
const THRESHOLD: u64 = 16 << 20;

/// A copy of one object, whose ciphertext stays as it is.
///
/// Within one service, the service copies, and no bytes pass by here. Where it cannot, because OSS
/// copies no part of an encrypted object, or because the target is another service, the ciphertext
/// passes through memory, in the same parts; no plaintext and no temporary file exists.
///
/// An object keeps its metadata, its storage class, its encryption by the store, its tags and its
/// access. Another service has other storage classes, keys and accounts: of these, only the metadata
/// and the tags go along. Its envelope is translated, which takes the [master keys](Self::with_keys);
/// so does an object whose seal is bound to a name that the copy does not have. The copy is looked at
/// before the work is said to be done.
///
/// ```
/// # use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring};
/// # use envelope_store::{Get, Put};
/// use std::sync::Arc;
///
/// use envelope_store::{Copy, MemoryStore, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = AesKeyWrapper::generate()?;
/// let (from, to): (Arc<dyn Store>, Arc<dyn Store>) =
///     (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new())); // or buckets
/// # let encryptor = Encryptor::new(&key, Dialect::COS_V2);
/// # Put::new(from.clone(), "a/key").stream(&b"a file"[..], None, &encryptor).await?;
/// Copy::new((from, "a/key"), (to.clone(), "another/key")).run().await?;
/// # let decryptor = Decryptor::new(&Keyring::new().with(key));
/// # let read = Get::new(to, "another/key").decrypt(&decryptor).await?.read_to_end().await?;
/// # assert_eq!(read, b"a file");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Copy {
    from: Place,
    to: Place,
    create_only: bool,
    headers: Headers,
    server_side: Option<Headers>,
    keys: Option<Keys>,
    allow_plaintext: bool,
    part_size: Option<u64>,
    longest: Option<u64>,
    concurrency: usize,
    retry: RetryPolicy,
    listener: ProgressListener,
    inspector: Inspector,
    stop: Option<StopSignal>,
}

/// A store, and a key in it.
#[derive(Clone, Debug)]
struct Place {
    store: Arc<dyn Store>,
    key: String,
}

impl<K: Into<String>> From<(Arc<dyn Store>, K)> for Place {
    fn from((store, key): (Arc<dyn Store>, K)) -> Self {
        Self { store, key: key.into() }
    }
}

/// What opens an object, and what wraps its content key anew.
#[derive(Clone)]
struct Keys {
    decryptor: Decryptor,
    encryptor: Encryptor,
    always: bool,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// How an object was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyWay {
    /// The service copied it.
    Service,
    /// Its ciphertext passed through this machine.
    Streamed,
    /// The copy was there already, with the same bytes and the same envelope.
    Already,
}

/// The result of a successful copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyResult {
    /// Number of bytes stored.
    pub len: u64,
    /// How it was copied.
    pub way: CopyWay,
    /// Whether the content key was wrapped anew.
    pub rewrapped: bool,
}

/// An object that is copied, and what the copy will be.
struct Plan {
    meta: ObjectMeta,
    /// What the service copies from, if it makes the copy.
    source: Option<CopySource>,
    /// The envelope that it has now.
    envelope: Option<Envelope>,
    /// The one that the copy will have, if it is another.
    rewrapped: Option<EncryptedObject<ContentCipher>>,
    /// All headers of the copy, but its envelope.
    headers: Headers,
}

impl Plan {
    /// All headers of the copy.
    fn all_headers(&self) -> Headers {
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

    /// The envelope of the copy.
    fn new_envelope(&self) -> Option<&Envelope> {
        match &self.rewrapped {
            Some(rewrapped) => Some(rewrapped.envelope()),
            None => self.envelope.as_ref(),
        }
    }
}

impl Copy {
    /// Copies an object, which is a store and a key in it, to another place.
    #[must_use]
    pub fn new<F: Into<String>, T: Into<String>>(
        from: (Arc<dyn Store>, F),
        to: (Arc<dyn Store>, T),
    ) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            create_only: false,
            headers: Headers::new(),
            server_side: None,
            keys: None,
            allow_plaintext: false,
            part_size: None,
            longest: None,
            concurrency: 4,
            retry: RetryPolicy::default(),
            listener: ProgressListener::default(),
            inspector: Inspector::default(),
            stop: None,
        }
    }

    /// Sets whether replacing an existing object is refused, as with
    /// [`Put::with_create_only`](crate::Put::with_create_only). A copy that is there already, with
    /// the same bytes and the same envelope, is none that would be replaced.
    #[must_use]
    pub const fn with_create_only(mut self, create_only: bool) -> Self {
        self.create_only = create_only;
        self
    }

    /// Gives the copy other headers than the object has, such as those of
    /// [`Attributes`](crate::Attributes). The others stay.
    #[must_use]
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        self.headers
            .extend(headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)));
        self
    }

    /// Asks the store to encrypt the copy on its side in this way, which is not at all if there are
    /// no headers. By default, it is asked for what the object has. A key of the customer is set at
    /// the store.
    #[must_use]
    pub fn with_server_side(mut self, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        self.server_side = Some(headers.into_iter().collect());
        self
    }

    /// Sets the keys for a new envelope, where the copy cannot have the old one: `decryptor` opens
    /// the object, `encryptor` wraps anew. What may be copied is then decided by the policy of the
    /// decryptor.
    #[must_use]
    pub fn with_keys(mut self, decryptor: &Decryptor, encryptor: &Encryptor) -> Self {
        let (decryptor, encryptor) = (decryptor.clone(), encryptor.clone());
        self.keys = Some(Keys { decryptor, encryptor, always: false });
        self
    }

    /// Sets whether an object that is not encrypted may go to another service, into a folder, or
    /// from there to a service. Within one service, it may in any case, unless the policy of the
    /// [keys](Self::with_keys) demands a protection.
    #[must_use]
    pub const fn with_plaintext(mut self, allow: bool) -> Self {
        self.allow_plaintext = allow;
        self
    }

    /// Sets whether the copy gets a new envelope in any case, because it is to have another master
    /// key or another dialect.
    #[must_use]
    pub fn with_new_envelope(mut self, always: bool) -> Self {
        if let Some(keys) = &mut self.keys {
            keys.always = always;
        }
        self
    }

    /// Sets the size of the parts of an object that passes through this machine, where its metadata
    /// does not state it: a multiple of 16, and not less than the vendor's minimum.
    #[must_use]
    pub const fn with_part_size(mut self, bytes: u64) -> Self {
        self.part_size = Some(bytes);
        self
    }

    /// Sets the length of the longest object that the service copies in one request; by default,
    /// [what its vendor allows](Vendor::longest_copy).
    #[must_use]
    pub const fn with_longest_copy(mut self, bytes: u64) -> Self {
        self.longest = Some(bytes);
        self
    }

    /// Sets the number of parts that are copied concurrently, 4 by default.
    #[must_use]
    pub const fn with_concurrency(mut self, parts: usize) -> Self {
        self.concurrency = if parts == 0 { 1 } else { parts };
        self
    }

    /// Sets the retry policy. The store retries single requests by itself.
    #[must_use]
    pub const fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the function that is called with every event.
    #[must_use]
    pub fn with_progress(mut self, notify: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = ProgressListener::new(notify);
        self
    }

    /// Sets a function that sees the envelope before anything is written, for example to warn of
    /// its weaknesses.
    #[must_use]
    pub fn with_inspector(mut self, inspect: impl Fn(&Envelope) + Send + Sync + 'static) -> Self {
        self.inspector = Inspector::new(inspect);
        self
    }

    /// Ends the copy with [`TransferError::Stopped`] when the signal is given.
    #[must_use]
    pub fn with_stop(mut self, stop: StopSignal) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Copies the object. If the future is dropped, a multipart upload stays open.
    ///
    /// # Errors
    /// Any [`TransferError`], including [`TransferError::NeedsKey`] where the copy must have another
    /// envelope and there are no keys, and [`StoreError::Exists`] if the target exists and must not.
    pub async fn run(&self) -> Result<CopyResult, TransferError> {
        let meta = self.from.store.head(&self.from.key).await?;
        self.copy(meta).await
    }

    /// Copies the object, and then deletes it, if it is still the version that was copied. It is
    /// deleted only after the copy was looked at, and is not the object itself under another name.
    /// If the future is dropped, the object is at its old place, at the new one, or at both.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`StoreError::Changed`] if somebody else has written the object since,
    /// and [`TransferError::SameObject`] if both may be the same. The object is then not deleted.
    pub async fn run_and_delete(&self) -> Result<CopyResult, TransferError> {
        let Place { store, key } = &self.from;
        let meta = store.head(key).await?;
        let result = self.copy(meta.clone()).await?;
        self.check_other(&meta).await?;
        if self.stop.as_ref().is_some_and(StopSignal::is_stopped) {
            return Err(TransferError::Stopped);
        }
        match store.head(key).await {
            Ok(now) if now.is_same_version(&meta) => store.delete(key).await?,
            Ok(_) => return Err(StoreError::Changed.into()),
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        if result.rewrapped && is_elsewhere(&**store, &meta) {
            // Nothing refers to its instruction file any more.
            store.delete(&instruction_key(key)).await?;
        }
        Ok(result)
    }

    /// Refuses a copy that may be the object itself, which has two names: a link of a folder, or
    /// another name of a bucket.
    async fn check_other(&self, meta: &ObjectMeta) -> Result<(), TransferError> {
        let Place { store, key } = &self.to;
        if !store.head(key).await?.is_same_version(meta) {
            return Ok(());
        }
        // Stores tell the time in seconds. A copy that is made in another one is another object, if
        // the time of the object itself stays.
        tokio::time::sleep(SECOND).await;
        Self { create_only: false, ..self.clone() }.copy(meta.clone()).await?;
        let now = self.from.store.head(&self.from.key).await?;
        if store.head(key).await?.is_same_version(&now) || !now.is_same_version(meta) {
            return Err(TransferError::SameObject);
        }
        Ok(())
    }

    async fn copy(&self, meta: ObjectMeta) -> Result<CopyResult, TransferError> {
        let plan = self.plan(meta).await?;
        let vendor = self.to.store.vendor();
        let all = plan.all_headers();
        if let Some(vendor) = vendor {
            check_budget(&all, vendor)?;
        }
        let result = |way| {
            let (len, rewrapped) = (plan.meta.len, plan.rewrapped.is_some());
            CopyResult { len, way, rewrapped }
        };
        if self.create_only && self.is_there(&plan).await? {
            return Ok(result(CopyWay::Already));
        }
        if let Some(source) = &plan.source {
            self.copy_by_service(source, &plan, &all).await?;
            self.listener.notify(Event::Transferred(plan.meta.len));
            return Ok(result(CopyWay::Service));
        }
        self.stream(&plan, all).await?;
        Ok(result(CopyWay::Streamed))
    }

    /// Looks at the object, and decides what the copy will be.
    async fn plan(&self, meta: ObjectMeta) -> Result<Plan, TransferError> {
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
        policy.map_or(Ok(()), |policy| policy.admit(Some(envelope)).map_err(Into::into))
    }

    /// Returns why the copy cannot have the envelope that the object has, or is not to have it.
    fn reason(&self, envelope: &Envelope, vendor: Option<Vendor>) -> Option<&'static str> {
        let is_bound = envelope.seal().is_some_and(|seal| seal.terms().name_bound);
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
    fn replaces(&self, has_new_envelope: bool) -> bool {
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
        Ok(Some(master_key::rewrap(&decryptor, envelope, &encryptor).await??))
    }

    /// Verifies what the policy demands, where nothing else opens the envelope.
    async fn verify(&self, meta: &ObjectMeta, envelope: &Envelope) -> Result<(), TransferError> {
        let keys = self.keys.as_ref();
        let Some(keys) = keys.filter(|keys| keys.decryptor.policy().demands_protection()) else {
            return Ok(());
        };
        check_body_len(envelope, meta.len)?;
        master_key::decrypt(&named(&keys.decryptor, &self.from.key), envelope).await?;
        Ok(())
    }

    /// Returns whether the metadata of a copy that passes by here must state its parts, and does
    /// not.
    fn lacks_parts(&self, len: u64, envelope: &Envelope) -> bool {
        let stated = self.to.store.vendor().is_some_and(Vendor::needs_encryption_headers_on_parts);
        stated && envelope.layout().is_none() && len > self.threshold()
    }

    fn threshold(&self) -> u64 {
        self.part_size.unwrap_or(THRESHOLD)
    }

    fn longest_copy(&self) -> u64 {
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

    /// Returns whether the copy is there already.
    async fn is_there(&self, plan: &Plan) -> Result<bool, TransferError> {
        let there = match self.to.store.head(&self.to.key).await {
            Ok(there) => there,
            Err(StoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let same_bytes =
            there.crc64.is_some() && (there.len, there.crc64) == (plan.meta.len, plan.meta.crc64);
        let found = envelope_in(&there.headers).ok().flatten();
        // A content key that is wrapped anew is never the same twice.
        if same_bytes && plan.rewrapped.is_none() && found == plan.envelope {
            return Ok(true);
        }
        Err(StoreError::Exists.into())
    }

    /// Sends the ciphertext from one store to the other.
    async fn stream(&self, plan: &Plan, all: Headers) -> Result<(), TransferError> {
        let from = &self.from;
        let all = self.with_tags(all).await?;
        let object =
            StoredObject::new(Arc::clone(&from.store), &from.key, plan.meta.clone(), self.retry);
        self.put().with_headers(all).stored_object(object).await?;
        Ok(())
    }

    /// Adds the tags of the object, which a service copies by itself where it copies as a whole.
    async fn with_tags(&self, mut all: Headers) -> Result<Headers, StoreError> {
        let (from, vendor) = (&self.from, self.to.store.vendor());
        let tags = kept_headers::tags(&*from.store, &from.key, &self.listener).await?;
        let Some((name, tags)) = tags else { return Ok(all) };
        let name = vendor.map_or(name, |it| format!("{}tagging", it.header_prefix()));
        if all.iter().all(|(other, _)| *other != name) {
            all.push((name, tags));
        }
        Ok(all)
    }

    /// Returns the upload of the copy, without its headers.
    fn put(&self) -> Put {
        let listener = self.listener.clone();
        let put = Put::new(Arc::clone(&self.to.store), &self.to.key)
            .with_create_only(self.create_only)
            .with_threshold(self.threshold())
            .with_concurrency(self.concurrency)
            .with_retry(self.retry)
            .with_progress(move |event| listener.notify(event));
        let put = match self.part_size {
            Some(bytes) => put.with_part_size(bytes),
            None => put,
        };
        match &self.stop {
            Some(stop) => put.with_stop(stop.clone()),
            None => put,
        }
    }
}
