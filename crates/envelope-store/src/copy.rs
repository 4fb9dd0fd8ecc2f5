//! Copies of objects, within a service or from one to another.

mod by_service;
mod plan;

use std::{sync::Arc, time::Duration};

use envelope_core::{Decryptor, Encryptor, Policy};
use meta_codec::{Envelope, Vendor};
use zeroize::Zeroizing;

use self::plan::Plan;
use crate::{
    Event, Headers, ObjectMeta, Put, RetryPolicy, StopSignal, Store, StoreError, TransferError,
    inspector::Inspector,
    kept_headers::{self, kept},
    object_envelope::{check_budget, envelope_in, instruction_key, is_elsewhere},
    progress::ProgressListener,
    put::StoredObject,
    retry::again,
    store::head_unless_gone,
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
/// access. Another service has other storage classes, keys and accounts: of these, only the
/// metadata and the tags go along. Its envelope is translated, which takes the [master
/// keys](Self::with_keys); so does an object whose seal is bound to a name that the copy does not
/// have. The copy is looked at before the work is said to be done.
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
    stop: StopSignal,
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

/// The keys that open an object and wrap its content key anew.
#[derive(Clone)]
struct Keys {
    decryptor: Decryptor,
    encryptor: Encryptor,
    /// Opens the copies, if they get another master key.
    of_copies: Option<Decryptor>,
    always: bool,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// The way in which an object was copied.
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

/// What is at the place of a copy before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyTarget {
    /// Nothing.
    Nothing,
    /// The copy itself, as after an interruption at its end: the same bytes, the same content key
    /// and the same metadata.
    Same,
    /// Another object.
    Other,
}

/// The result of a successful copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyResult {
    /// Number of bytes stored.
    pub len: u64,
    /// The way in which it was copied.
    pub way: CopyWay,
    /// `true` if the content key was wrapped anew.
    pub rewrapped: bool,
    /// `true` if the object has an envelope.
    pub encrypted: bool,
    /// The version that was copied.
    source: ObjectMeta,
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
            stop: StopSignal::new(),
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
        self.keys = Some(Keys { decryptor, encryptor, of_copies: None, always: false });
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

    /// Sets what opens the copies, if they get another master key. Only
    /// [`target`](Self::target) needs it.
    #[must_use]
    pub fn with_keys_of_copies(mut self, decryptor: &Decryptor) -> Self {
        if let Some(keys) = &mut self.keys {
            keys.of_copies = Some(decryptor.clone());
        }
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
    /// [what its vendor allows](meta_codec::Vendor::longest_copy).
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
        self.stop = stop;
        self
    }

    /// Copies the object. If the future is dropped, a multipart upload stays open.
    ///
    /// # Errors
    /// Any [`TransferError`], including [`TransferError::NeedsKey`] where the copy must have
    /// another envelope and there are no keys, and [`StoreError::Exists`] if the target exists and
    /// must not.
    pub async fn run(&self) -> Result<CopyResult, TransferError> {
        let meta = self.from.store.head(&self.from.key).await?;
        self.copy(meta).await
    }

    /// Deletes the object after it was copied, if it is still the version that was copied, and its
    /// copy is not the object itself under another name. If the future is dropped, the object may
    /// have been deleted.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if somebody else has written the object since, and
    /// [`TransferError::SameObject`] if both may be the same; [`StoreError::Exists`] if a copy was
    /// there already, and there is no envelope to tell that it is one; or any other
    /// [`TransferError`]. The object is then not deleted.
    pub async fn delete_source(&self, result: &CopyResult) -> Result<(), TransferError> {
        let (Place { store, key }, meta) = (&self.from, &result.source);
        if result.way == CopyWay::Already && !result.encrypted {
            return Err(StoreError::Exists.into());
        }
        self.check_other(meta).await?;
        let mut doomed = vec![key.clone()];
        if result.rewrapped && is_elsewhere(&**store, meta) {
            // The copy has its envelope in its metadata. Whoever finds this file alone would take
            // it for an object of its own.
            doomed.insert(0, instruction_key(key));
        }
        let mut backoff = self.retry.start();
        for doomed in doomed {
            // Each attempt follows a look at the object, so that what others write stays.
            loop {
                match head_unless_gone(&**store, key).await? {
                    Some(now) if now.is_same_version(meta) => {}
                    Some(_) => return Err(StoreError::Changed.into()),
                    None => break,
                }
                match store.delete_once(&doomed).await {
                    Err(error) => again(&mut backoff, &self.listener.waits(), error).await?,
                    Ok(()) => break,
                }
            }
        }
        Ok(())
    }

    /// Copies the object, and then [deletes](Self::delete_source) it. If the future is dropped, the
    /// object is at its old place, at the new one, or at both.
    ///
    /// # Errors
    /// As [`run`](Self::run) and [`delete_source`](Self::delete_source).
    pub async fn run_and_delete(&self) -> Result<CopyResult, TransferError> {
        let result = self.run().await?;
        if self.stop.is_stopped() {
            return Err(TransferError::Stopped);
        }
        self.delete_source(&result).await?;
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
            let (encrypted, source) = (plan.envelope.is_some(), plan.meta.clone());
            CopyResult { len, way, rewrapped, encrypted, source }
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

    /// Looks at what is at the place of the copy, for callers that do not want to replace anything.
    /// If nothing is there, that takes two requests: one answer alone is not believed.
    ///
    /// # Errors
    /// Any [`TransferError`] that [`run`](Self::run) returns before it writes anything.
    pub async fn target(&self) -> Result<CopyTarget, TransferError> {
        let there = match head_unless_gone(&*self.to.store, &self.to.key).await {
            Ok(Some(there)) => there,
            Ok(None) => return Ok(CopyTarget::Nothing),
            // It is encrypted with another key of the customer, or with none.
            Err(error) if error.is_of_other_key() => {
                return Ok(CopyTarget::Other);
            }
            Err(error) => return Err(error.into()),
        };
        let meta = head_unless_gone(&*self.from.store, &self.from.key).await?;
        let plan = self.plan(meta.ok_or(StoreError::NotFound)?).await?;
        let is_same = plan.has_bytes_of(&there)
            && shown(&there.headers) == shown(&plan.headers)
            && self.has_key_of(&plan, &there).await?;
        Ok(if is_same { CopyTarget::Same } else { CopyTarget::Other })
    }

    /// Returns whether an object has the envelope of the copy, or one with the same content key.
    async fn has_key_of(&self, plan: &Plan, there: &ObjectMeta) -> Result<bool, TransferError> {
        let found = match envelope_in(&there.headers) {
            Ok(found) => found,
            Err(_) => return Ok(false),
        };
        if plan.rewrapped.is_none() && found == plan.envelope {
            return Ok(true);
        }
        let (Some(found), Some(wanted), Some(keys)) = (found, plan.new_envelope(), &self.keys)
        else {
            return Ok(false);
        };
        // What else the envelopes say must be alike.
        let said = |envelope: &Envelope| {
            let seal = envelope.seal().map(|seal| seal.terms());
            (envelope.dialect(), envelope.content_algorithm(), envelope.layout(), seal)
        };
        if said(&found) != said(wanted) || found.description() != wanted.description() {
            return Ok(false);
        }
        let copies = keys.of_copies.as_ref().unwrap_or(&keys.decryptor);
        let mut keystreams = [Zeroizing::new([0; 64]), Zeroizing::new([0; 64])];
        for (keystream, (decryptor, envelope)) in
            keystreams.iter_mut().zip([(copies, &found), (copies, wanted)])
        {
            let decryptor = decryptor
                .clone()
                .with_policy(Policy::lenient().allow_unauthenticated_ranges())
                .with_name(self.to.key.clone());
            let Ok(cipher) = decryptor.decrypt_range_async(envelope).await else {
                return Ok(false);
            };
            cipher.at(0).apply(&mut keystream[..]);
        }
        let [one, other] = keystreams;
        Ok(one == other)
    }

    /// Returns whether the copy is there already.
    async fn is_there(&self, plan: &Plan) -> Result<bool, TransferError> {
        let there = match self.to.store.head(&self.to.key).await {
            Ok(there) => there,
            Err(StoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let found = envelope_in(&there.headers).ok().flatten();
        // A content key that is wrapped anew is never the same twice.
        let same_envelope = plan.rewrapped.is_none() && found == plan.envelope;
        if plan.has_bytes_of(&there)
            && same_envelope
            && shown(&there.headers) == shown(&plan.headers)
        {
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
        let put = self.put().with_headers(all).with_copy(plan.rewrapped.is_none());
        put.stored_object(object).await?;
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
            .with_stop(self.stop.clone())
            .with_progress(move |event| listener.notify(event));
        match self.part_size {
            Some(bytes) => put.with_part_size(bytes),
            None => put,
        }
    }
}

/// Returns what a store shows of the headers with which an object was written, in one order.
fn shown(headers: &Headers) -> Headers {
    let is_hidden = |name: &str| {
        let mut vendors = Vendor::ALL.into_iter();
        name.ends_with("-server-side-encryption-context")
            || vendors.any(|it| {
                let tagging = name.strip_prefix(it.header_prefix()) == Some("tagging");
                tagging || name == it.access_header()
            })
    };
    let mut headers = kept(headers);
    headers.retain(|(name, _)| !is_hidden(name));
    headers.sort_unstable();
    headers
}
