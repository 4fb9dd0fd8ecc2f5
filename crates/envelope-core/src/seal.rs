//! The seal: the proof that nobody without the content key altered an object or its metadata.
//!
//! `docs/format/seal.md` describes it byte by byte, `docs/seal.md` says why it is sound.

use std::sync::Arc;

use meta_codec::{Envelope, Seal, SealTerms, SealedBody};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::{
    BodyDigest, BodyHasher, ContentKey, IntegrityError, OriginKey, WholeHasher,
    transcript::{Transcript, derive},
};

/// How the objects of an [`Encryptor`](crate::Encryptor) are sealed.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Decryptor, Dialect, Encryptor, Keyring, SealOptions};
///
/// let key = AesKeyWrapper::generate()?;
/// let options = SealOptions::new().with_name("films/film.mkv");
/// let object = Encryptor::new(&key, Dialect::COS_V2).with_seal(options).encrypt()?;
///
/// let decryptor = Decryptor::new(&Keyring::new().with(key));
/// let [right, wrong] = ["films/film.mkv", "films/other.mkv"].map(|name| {
///     decryptor.clone().with_name(name).decrypt(object.envelope())
/// });
/// assert!(right.is_ok() && wrong.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[expect(missing_debug_implementations, reason = "holds a secret, which is not printed")]
pub struct SealOptions {
    name: Option<Arc<str>>,
    origin: Option<OriginKey>,
}

impl SealOptions {
    /// Creates options for a seal that covers the metadata and the body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds the seal to the name of the object: the key under which it is stored, without the name
    /// of the bucket. An object that was swapped with another one, or renamed, is then noticed.
    /// Readers have to know the name; see [`Decryptor::with_name`](crate::Decryptor::with_name).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns whether a seal of the body with these options states what this one states.
    pub(crate) fn are_of(&self, seal: &Seal) -> bool {
        let terms = seal.terms();
        (self.name.is_some(), self.origin.is_some()) == (terms.name_bound, terms.origin)
            && !terms.adopted
            && seal.is_full()
    }

    /// Adds a secret that proves who wrote the object. Readers need it, too.
    #[must_use]
    pub fn with_origin_key(mut self, key: OriginKey) -> Self {
        self.origin = Some(key);
        self
    }
}

/// Makes the seal of one object: at first of its metadata, and later of its body.
pub(crate) struct Sealer {
    tag_key: Zeroizing<[u8; 32]>,
    confirmation: [u8; CONFIRMATION],
    hasher: BodyHasher,
    iv: Zeroizing<Vec<u8>>,
    name: Option<Arc<str>>,
    terms: SealTerms,
    /// Whether the object is being written. Otherwise, somebody else wrote the body.
    is_new: bool,
}

impl Sealer {
    /// The sealer of an object that is being written.
    pub(crate) fn new(key: &ContentKey, options: &SealOptions) -> Self {
        let mut terms = SealTerms::new(SealedBody::Unknown);
        terms.name_bound = options.name.is_some();
        terms.origin = options.origin.is_some();
        Self { is_new: true, ..Self::with_terms(key, terms, options) }
    }

    /// The sealer of an object that somebody else wrote without a seal.
    pub(crate) fn adopting(key: &ContentKey, options: &SealOptions) -> Self {
        let mut sealer = Self { is_new: false, ..Self::new(key, options) };
        sealer.terms.adopted = true;
        sealer
    }

    /// The sealer of an object whose seal was verified with these options. It states what that one
    /// states, and never more.
    pub(crate) fn again(key: &ContentKey, seal: &Seal, options: &SealOptions) -> Self {
        Self::with_terms(key, seal.terms(), options)
    }

    fn with_terms(key: &ContentKey, terms: SealTerms, options: &SealOptions) -> Self {
        Self {
            tag_key: tag_key(key, options.origin.as_ref().filter(|_| terms.origin)),
            confirmation: confirmation(key),
            hasher: hasher(key),
            iv: Zeroizing::new(key.iv().to_vec()),
            name: options.name.clone().filter(|_| terms.name_bound),
            terms,
            is_new: false,
        }
    }

    pub(crate) const fn hasher(&self) -> &BodyHasher {
        &self.hasher
    }

    /// Returns whether the object is being written, and not rewrapped.
    pub(crate) const fn is_of_new_object(&self) -> bool {
        self.is_new
    }

    /// Sets the length of the body, unless more is known of it.
    pub(crate) const fn set_len(&mut self, len: u64) {
        if self.terms.body.digest().is_none() {
            self.terms.body = SealedBody::Length(len);
        }
    }

    /// Seals the body, too.
    ///
    /// # Errors
    /// If the seal covers another body already, or states another length.
    pub(crate) fn set_body(&mut self, body: BodyDigest) -> Result<(), IntegrityError> {
        if let Some(want) = self.terms.body.stated_len().filter(|want| *want != body.len) {
            return Err(IntegrityError::BodyLength { want, got: body.len });
        }
        if let Some(digest) = self.terms.body.digest() {
            return if digest == body.digest { Ok(()) } else { Err(IntegrityError::Seal) };
        }
        self.terms.body = body.into();
        self.terms.adopted |= !self.is_new;
        Ok(())
    }

    /// Returns the seal of this envelope, whatever seal it has now.
    pub(crate) fn seal(&self, envelope: &Envelope) -> Seal {
        let name = self.name.as_deref();
        let tag = tag(&self.tag_key, &self.iv, envelope, self.terms, name);
        Seal::new(self.terms, self.confirmation, tag)
    }

    /// Returns a seal that is as long as the one of the body will be, to see whether it fits.
    pub(crate) fn longest(&self) -> Seal {
        let mut terms = self.terms;
        terms.body = SealedBody::Digest { len: 0, digest: [0; 32] };
        Seal::new(terms, self.confirmation, [0; 32])
    }
}

/// The body that a verified seal vouches for.
#[derive(Clone)]
pub(crate) struct SealedContent {
    hasher: BodyHasher,
    body: BodyDigest,
}

impl SealedContent {
    /// Starts the check of a body that comes in one piece.
    pub(crate) fn check(&self) -> SealCheck {
        SealCheck { hasher: self.hasher.whole(), want: self.body, got: 0 }
    }

    pub(crate) const fn hasher(&self) -> &BodyHasher {
        &self.hasher
    }

    /// Checks a body that was hashed as a whole.
    pub(crate) fn matches(&self, body: &BodyDigest) -> Result<(), IntegrityError> {
        compare(&self.body, body)
    }
}

fn compare(want: &BodyDigest, got: &BodyDigest) -> Result<(), IntegrityError> {
    let same = want.len == got.len && want.digest.ct_eq(&got.digest).into();
    if same { Ok(()) } else { Err(IntegrityError::Seal) }
}

/// Checks a stored body against the seal, as it is read.
pub(crate) struct SealCheck {
    hasher: WholeHasher,
    want: BodyDigest,
    got: u64,
}

impl SealCheck {
    /// Feeds the next bytes of the body, as it is stored.
    ///
    /// # Errors
    /// If the body is longer than it was when it was sealed.
    pub(crate) fn update(&mut self, body: &[u8]) -> Result<(), IntegrityError> {
        self.got = self.got.saturating_add(body.len() as u64);
        if self.got > self.want.len {
            return Err(IntegrityError::BodyLength { want: self.want.len, got: self.got });
        }
        self.hasher.update(body);
        Ok(())
    }

    /// Checks the whole body.
    pub(crate) fn finish(&self) -> Result<(), IntegrityError> {
        if self.got != self.want.len {
            return Err(IntegrityError::BodyLength { want: self.want.len, got: self.got });
        }
        compare(&self.want, &self.hasher.finish())
    }
}

/// Returns whether the envelope's seal, if it has one, was made with this content key. Whoever
/// forges a wrapped CEK or IV cannot know these bytes, so that what comes after reveals nothing to
/// them.
pub(crate) fn confirms(key: &ContentKey, envelope: &Envelope) -> bool {
    envelope.seal().is_none_or(|seal| {
        let confirms: Choice = confirmation(key).ct_eq(&seal.confirmation());
        confirms.into()
    })
}

/// Verifies the seal of an envelope, if it has one. `options` are what the reader knows.
pub(crate) fn verify(
    key: &ContentKey,
    envelope: &Envelope,
    options: &SealOptions,
) -> Result<Option<SealedContent>, SealError> {
    let Some(seal) = envelope.seal() else { return Ok(None) };
    let terms = seal.terms();
    let name = match options.name.as_deref() {
        _ if !terms.name_bound => None,
        None => return Err(SealError::NoName),
        name => name,
    };
    let origin = match &options.origin {
        _ if !terms.origin => None,
        None => return Err(SealError::NoOriginKey),
        origin => origin.as_ref(),
    };
    let want = tag(&tag_key(key, origin), key.iv(), envelope, terms, name);
    let same: bool = want.ct_eq(&seal.tag()).into();
    if !same {
        let SealTerms { name_bound, origin, .. } = terms;
        return Err(SealError::Mismatch { name_bound, origin });
    }
    Ok(match terms.body {
        SealedBody::Digest { len, digest } => {
            Some(SealedContent { hasher: hasher(key), body: BodyDigest { len, digest } })
        }
        SealedBody::Unknown | SealedBody::Length(_) => None,
    })
}

/// The length of the bytes that confirm a content key.
const CONFIRMATION: usize = 8;

/// Confirms both halves of the content key. If it did not cover the IV, somebody could forge that
/// alone, beside the wrapped CEK of an honest object.
fn confirmation(key: &ContentKey) -> [u8; CONFIRMATION] {
    #[cfg(test)]
    tests::COMPUTED.with(|computed| computed.set(computed.get() + 1));
    let label = [b"envelope-seal v1 key", key.iv()].concat();
    *derive(key, None, &label)
}

fn hasher(key: &ContentKey) -> BodyHasher {
    BodyHasher::new(derive(key, None, b"envelope-seal v1 body"))
}

fn tag_key(key: &ContentKey, origin: Option<&OriginKey>) -> Zeroizing<[u8; 32]> {
    match origin {
        None => derive(key, None, b"envelope-seal v1 tag"),
        Some(origin) => derive(key, Some(origin.bytes()), b"envelope-seal v1 origin tag"),
    }
}

/// Computes HMAC-SHA-256 over the terms, the name and everything that the envelope states.
fn tag(
    tag_key: &Zeroizing<[u8; 32]>,
    iv: &[u8],
    envelope: &Envelope,
    terms: SealTerms,
    name: Option<&str>,
) -> [u8; 32] {
    let mut transcript = Transcript::new(tag_key);
    transcript.feed(b"envelope-seal v1");
    transcript.feed(&terms.to_bytes());
    transcript.feed(name.unwrap_or_default().as_bytes());
    transcript.feed_envelope(iv, envelope);
    transcript.feed(envelope.key_check().as_ref().map_or(&[], |check| check));
    transcript.finish()
}

/// An error from verifying a seal with the right content key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The tag is not the one of this envelope.
    #[error("the seal does not match: the metadata was altered{}{}",
        if *.name_bound { ", or the object has another name" } else { "" },
        if *.origin { ", or the origin key is another" } else { "" })]
    Mismatch {
        /// Whether the name of the object may be the reason.
        name_bound: bool,
        /// Whether the origin key may be the reason.
        origin: bool,
    },
    /// The seal is bound to the name of the object, which is not given.
    #[error("the seal is bound to the name of the object, which is not given")]
    NoName,
    /// The seal was made with an origin key, which is not given.
    #[error("the seal was made with an origin key, which is not given")]
    NoOriginKey,
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use meta_codec::{
        ContentAlgorithm, Dialect, IvForm, MaterialDescription, PartLayout, Vendor, WrapAlgorithm,
    };

    use super::*;
    use crate::{
        AesKeyWrapper, Decryptor, Encryptor, Keyring, RsaKeyWrapper,
        keyring::tests::is_computed_for_every_key,
    };

    thread_local! {
        /// How often a confirmation was computed on this thread.
        pub(super) static COMPUTED: Cell<u32> = const { Cell::new(0) };
    }

    const CTR: ContentAlgorithm = ContentAlgorithm::Aes256Ctr;

    fn content_key(cek: &[u8], iv: &[u8]) -> ContentKey {
        crate::hazmat::content_key(CTR, IvForm::Wrapped, Some(cek), Some(iv)).unwrap()
    }

    fn key() -> ContentKey {
        let (cek, iv): (Vec<u8>, Vec<u8>) = ((0..32).collect(), (100..116).collect());
        content_key(&cek, &iv)
    }

    fn one() -> Envelope {
        let layout = PartLayout::new(Vendor::Cos, 1_000_000, 1 << 20).unwrap();
        Envelope::new(Dialect::COS_V2, CTR, WrapAlgorithm::AesKeyWrap, vec![1; 40], vec![2; 24])
            .with_description(MaterialDescription::new([("k", "v")]).unwrap())
            .with_layout(layout)
    }

    fn other() -> Envelope {
        let wrap = WrapAlgorithm::RsaPkcs1v15;
        Envelope::new(Dialect::OSS_V2, CTR, wrap, vec![3; 256], vec![4; 256])
            .with_plain_len(77)
            .with_plain_md5([5; 16])
            .with_key_check([6; 16])
    }

    fn origin() -> OriginKey {
        OriginKey::new(Zeroizing::new([9; 32]))
    }

    fn hashed(sealer: &Sealer, body: &[u8]) -> BodyDigest {
        let mut whole = sealer.hasher().whole();
        whole.update(body);
        whole.finish()
    }

    fn text(sealer: &Sealer, envelope: Envelope) -> String {
        let sealed = envelope.clone().with_seal(sealer.seal(&envelope));
        let headers = sealed.emit(sealed.dialect()).unwrap();
        headers.into_iter().find(|(name, _)| name.ends_with("-seal")).unwrap().1
    }

    /// Computed with `hmac`, `hashlib` and `blake3` of Python; see `docs/format/seal.md`.
    #[test]
    fn known_answers() {
        let body: Vec<u8> = (0..=250).cycle().take(5000).collect();
        let options = SealOptions::new();
        let mut sealer = Sealer::new(&key(), &options);
        let want = "AQAA0fYIVkRO5FT/9ZDST8/L4VYA0I7RE8XdcWpYfAmgiSx7fwjNq0Sh";
        assert_eq!(text(&sealer, one()), want);
        sealer.set_body(hashed(&sealer, &body)).unwrap();
        let want = "AQMAAAAAAAATiMlRJx3Tjh550jQkhIfpp5/cM8Sh7XjwBbBOCVXYCkrnANH2CFZETuQfxfCD0LxH8n\
                    9l/OcL9ObuZBr3qJJigTcVmJUfPuXrsw==";
        assert_eq!(text(&sealer, one()), want);
        // More is known already.
        sealer.set_len(5);
        assert_eq!(text(&sealer, one()), want);

        let mut sealer = Sealer::new(&key(), &options.with_name("films/film.mkv"));
        sealer.set_len(77);
        let want = "AQUAAAAAAAAATQDR9ghWRE7kczBytoJqiGV10z7ATnCQNjiimE55CRlPSOtBeFGvowk=";
        assert_eq!(text(&sealer, one()), want);

        let options = SealOptions::new().with_name("é").with_origin_key(origin());
        let mut sealer = Sealer::adopting(&key(), &options);
        sealer.set_body(hashed(&sealer, &body)).unwrap();
        let want = "AR8AAAAAAAATiMlRJx3Tjh550jQkhIfpp5/cM8Sh7XjwBbBOCVXYCkrnANH2CFZETuTJAdoVLKoVup\
                    YOSpG2lcoGte5Qa01KkeStRHwvz5cYmQ==";
        assert_eq!(text(&sealer, other()), want);
        let mut sealer = Sealer::new(&key(), &SealOptions::new());
        sealer.set_body(hashed(&sealer, b"")).unwrap();
        let want = "AQMAAAAAAAAAADa5W/z5/EdsqenEB/EANZKOXfpgePYI09XIh5ZEOvapANH2CFZETuTCHWoNYK7Jcu\
                    Z1nzvqaJ2HKl+Anh68tjDS/SFtHMehxg==";
        assert_eq!(text(&sealer, other()), want);
    }

    /// Every field that it covers, changed alone.
    #[test]
    fn it_covers_everything() {
        let (gcm, kw) = (ContentAlgorithm::Aes256Gcm, WrapAlgorithm::AesKeyWrap);
        let (cos, oss) = (Dialect::COS_V2, Dialect::OSS_V2);
        let of = |dialect, content, wrap, key: u8, iv: u8| {
            Envelope::new(dialect, content, wrap, vec![key; 40], vec![iv; 24])
        };
        let own = of(cos, CTR, kw, 1, 2);
        let layout = |size, part| PartLayout::new(Vendor::Cos, size, part).unwrap();
        let described = |text| MaterialDescription::parse(text).unwrap();
        let envelopes = [
            own.clone(),
            of(oss, CTR, kw, 1, 2),
            of(cos, gcm, kw, 1, 2),
            of(cos, CTR, WrapAlgorithm::AesCtrZero, 1, 2),
            of(cos, CTR, kw, 9, 2),
            of(cos, CTR, kw, 1, 9),
            own.clone().with_description(described(r#"{"k":"v"}"#)),
            own.clone().with_description(described(r#"{"k": "v"}"#)),
            own.clone().with_layout(layout(1 << 22, 1 << 20)),
            own.clone().with_layout(layout(1 << 21, 1 << 20)),
            own.clone().with_layout(layout(1 << 22, 1 << 21)),
            own.clone().with_plain_len(0),
            own.clone().with_plain_md5([0; 16]),
            own.clone().with_key_check([0; 16]),
            own.clone().with_key_check([1; 16]),
        ];
        let mut keys = vec![key()];
        for (at, first) in [(0, 100), (31, 100), (32, 99)] {
            let mut cek: Vec<u8> = (0..32).collect();
            cek.get_mut(at).into_iter().for_each(|byte: &mut u8| *byte ^= 1);
            let iv: Vec<u8> = (first..first + 16).collect();
            keys.push(content_key(&cek, &iv));
        }
        let options = [
            SealOptions::new(),
            SealOptions::new().with_name(""),
            SealOptions::new().with_name("a"),
            SealOptions::new().with_origin_key(origin()),
            SealOptions::new().with_origin_key(OriginKey::new(Zeroizing::new([8; 32]))),
            // As HKDF pads, this is the salt of those who have none.
            SealOptions::new().with_origin_key(OriginKey::new(Zeroizing::new([0; 32]))),
        ];
        let mut sealers: Vec<Sealer> = options.iter().map(|it| Sealer::new(&key(), it)).collect();
        sealers.push(Sealer::adopting(&key(), &SealOptions::new()));
        for body in [&b""[..], b"a", b"b"] {
            let mut sealer = Sealer::new(&key(), &SealOptions::new());
            sealer.set_body(hashed(&sealer, body)).unwrap();
            sealers.push(sealer);
        }
        for len in [0, 1] {
            let mut sealer = Sealer::new(&key(), &SealOptions::new());
            sealer.set_len(len);
            sealers.push(sealer);
        }
        let mut tags = Vec::new();
        let default = |key: &ContentKey| Sealer::new(key, &SealOptions::new());
        tags.extend(envelopes.iter().map(|envelope| default(&key()).seal(envelope).tag()));
        tags.extend(keys[1..].iter().map(|key| default(key).seal(&own).tag()));
        tags.extend(sealers[1..].iter().map(|sealer| sealer.seal(&own).tag()));
        for (n, tag) in tags.iter().enumerate() {
            assert!(!tags[..n].contains(tag), "{n}");
        }
        // The old seal is not covered by the new one.
        let sealed = own.clone().with_seal(default(&key()).seal(&own));
        assert_eq!(default(&key()).seal(&sealed), default(&key()).seal(&own));
    }

    #[test]
    fn what_a_reader_must_know() {
        let named = || SealOptions::new().with_name("a/b");
        let with_origin = || SealOptions::new().with_origin_key(origin());
        let both = || named().with_origin_key(origin());
        let sealed = |options: &SealOptions| {
            let envelope = one();
            let seal = Sealer::new(&key(), options).seal(&envelope);
            envelope.with_seal(seal)
        };
        let outcome = |envelope: &Envelope, options: &SealOptions| {
            verify(&key(), envelope, options).map(|content| content.is_some())
        };
        let plain = sealed(&SealOptions::new());
        for options in [SealOptions::new(), named(), with_origin(), both()] {
            assert_eq!(outcome(&plain, &options), Ok(false), "what is not needed does no harm");
            assert_eq!(outcome(&one(), &options), Ok(false), "there is no seal");
            let full = both();
            let knows_name = options.name.is_some();
            let knows_origin = options.origin.is_some();
            let want = match (knows_name, knows_origin) {
                (true, true) => Ok(false),
                (false, _) => Err(SealError::NoName),
                (true, false) => Err(SealError::NoOriginKey),
            };
            assert_eq!(outcome(&sealed(&full), &options), want);
        }
        let other = Err(SealError::Mismatch { name_bound: true, origin: false });
        assert_eq!(outcome(&sealed(&named()), &SealOptions::new().with_name("a/c")), other);
        assert_eq!(outcome(&sealed(&named()), &SealOptions::new().with_name("")), other);
        let another = SealOptions::new().with_origin_key(OriginKey::new(Zeroizing::new([1; 32])));
        let other = Err(SealError::Mismatch { name_bound: false, origin: true });
        assert_eq!(outcome(&sealed(&with_origin()), &another), other);
        for flags in [(false, false), (false, true), (true, false), (true, true)] {
            let (name_bound, origin) = flags;
            let words = SealError::Mismatch { name_bound, origin }.to_string();
            assert_eq!((words.contains("another name"), words.contains("origin key")), flags);
        }
    }

    #[test]
    fn a_seal_that_is_made_again_states_no_more() {
        let envelope = one();
        let options = SealOptions::new().with_name("a").with_origin_key(origin());
        let weak = Sealer::new(&key(), &SealOptions::new()).seal(&envelope);
        let mut again = Sealer::again(&key(), &weak, &options);
        assert_eq!(again.seal(&envelope), weak, "neither a name nor an origin");
        again.set_body(hashed(&again, b"a")).unwrap();
        assert!(again.seal(&envelope).terms().adopted, "the body was not covered before");

        let mut written = Sealer::new(&key(), &options);
        written.set_body(hashed(&written, b"a")).unwrap();
        let seal = written.seal(&envelope);
        assert!(!seal.terms().adopted);
        let mut again = Sealer::again(&key(), &seal, &options);
        again.set_body(hashed(&again, b"a")).unwrap();
        assert_eq!(again.seal(&envelope), seal);
        let longer = hashed(&again, b"ab");
        assert_eq!(again.set_body(longer), Err(IntegrityError::BodyLength { want: 1, got: 2 }));
        let longer = hashed(&again, b"ab");
        assert_eq!(again.set_body(longer), Err(IntegrityError::BodyLength { want: 1, got: 2 }));
        let longer = hashed(&again, b"ab");
        assert_eq!(again.set_body(longer), Err(IntegrityError::BodyLength { want: 1, got: 2 }));
        let other = hashed(&again, b"b");
        assert_eq!(again.set_body(other), Err(IntegrityError::Seal));
        assert_eq!(again.seal(&envelope), seal, "what was sealed stays sealed");
    }

    #[test]
    fn a_body_is_checked_to_its_end() {
        let mut sealer = Sealer::new(&key(), &SealOptions::new());
        sealer.set_body(hashed(&sealer, b"a body")).unwrap();
        let envelope = one();
        let seal = sealer.seal(&envelope);
        let envelope = envelope.with_seal(seal);
        let content = verify(&key(), &envelope, &SealOptions::new()).unwrap().unwrap();
        let check = |body: &[u8]| {
            let mut check = content.check();
            body.chunks(4).try_for_each(|piece| check.update(piece))?;
            check.finish()
        };
        assert_eq!(check(b"a body"), Ok(()));
        assert_eq!(check(b"a bodz"), Err(IntegrityError::Seal));
        let len = |got| Err(IntegrityError::BodyLength { want: 6, got });
        assert_eq!(check(b"a bod"), len(5));
        assert_eq!(check(b"a body."), len(7));
        // Whoever goes on after an error does not get there, either.
        let mut longer = content.check();
        assert!(longer.update(b"a body").is_ok() && longer.update(b".").is_err());
        assert_eq!(longer.finish(), len(7));
        // Whoever goes on after an error does not get there, either.
        let mut longer = content.check();
        assert!(longer.update(b"a body").is_ok() && longer.update(b".").is_err());
        assert_eq!(longer.finish(), len(7));
        // Whoever goes on after an error does not get there, either.
        let mut longer = content.check();
        assert!(longer.update(b"a body").is_ok() && longer.update(b".").is_err());
        assert_eq!(longer.finish(), len(7));
        assert_eq!(content.matches(&hashed(&sealer, b"a body")), Ok(()));
        assert_eq!(content.matches(&hashed(&sealer, b"a bodz")), Err(IntegrityError::Seal));
        let mut longer = hashed(&sealer, b"a body");
        longer.len += 1;
        assert_eq!(content.matches(&longer), Err(IntegrityError::Seal));
    }

    /// Whoever forges wrapped keys must not learn from the time, or from the outcome, which of them
    /// are well formed.
    #[test]
    fn it_is_confirmed_for_every_key_that_is_tried() {
        is_computed_for_every_key(|it| it.with_seal(SealOptions::new()), || COMPUTED.get());
        let cek: Vec<u8> = (0..32).collect();
        let seal = Sealer::new(&key(), &SealOptions::new()).seal(&one());
        assert!(!confirms(&content_key(&cek, &[100; 16]), &one().with_seal(seal)), "another IV");
        assert!(confirms(&key(), &one().with_seal(seal)) && confirms(&key(), &one()));
        for bit in 0..64 {
            let mut confirmation = seal.confirmation();
            confirmation[bit / 8] ^= 1 << (bit % 8);
            let other = Seal::new(seal.terms(), confirmation, seal.tag());
            assert!(!confirms(&key(), &one().with_seal(other)), "{bit}");
        }
    }

    /// Somebody keeps the wrapped CEK and the seal of an honest object, and puts something else in
    /// the place of its wrapped IV.
    #[test]
    fn a_forged_iv_looks_like_a_wrong_key() {
        let rsa = RsaKeyWrapper::generate(2048).unwrap();
        let encryptor = Encryptor::new(&rsa, Dialect::COS_V2).with_seal(SealOptions::new());
        let [honest, other] = [(); 2].map(|()| encryptor.encrypt().unwrap().into_inner().0);
        let decryptor = Decryptor::new(&Keyring::new().with(rsa));
        let with_iv = |iv: &[u8]| {
            let key = honest.wrapped_key().to_vec();
            let forged =
                Envelope::new(Dialect::COS_V2, CTR, honest.wrap_algorithm(), key, iv.to_vec());
            decryptor.decrypt(&forged.with_seal(honest.seal().unwrap())).map(|_| ())
        };
        assert_eq!(with_iv(honest.iv()), Ok(()));
        let garbage = with_iv(&[1; 256]);
        assert!(matches!(garbage, Err(crate::DecryptError::Keyring(_))), "{garbage:?}");
        // A well-formed wrap of another IV, and of 32 bytes.
        assert_eq!(with_iv(other.iv()), garbage);
        assert_eq!(with_iv(honest.wrapped_key()), garbage);
    }

    #[test]
    fn a_reader_knows_the_name_that_it_was_told() {
        let decryptor = Decryptor::new(&Keyring::new());
        assert_eq!(decryptor.name(), None);
        assert_eq!(decryptor.with_name("a/b").name(), Some("a/b"));
    }

    /// An upload is only continued if it would be sealed in the same way.
    #[test]
    fn what_is_sealed_alike() {
        let key = AesKeyWrapper::generate().unwrap();
        let unsealing = Encryptor::new(&key, Dialect::COS_V2);
        let named = || SealOptions::new().with_name("a");
        let all = [
            SealOptions::new(),
            named(),
            SealOptions::new().with_origin_key(origin()),
            named().with_origin_key(origin()),
        ];
        let full = |options: &SealOptions| {
            let mut object = unsealing.clone().with_seal(options.clone()).encrypt().unwrap();
            let body = object.body_hasher().unwrap().whole().finish();
            object.seal_body(body).unwrap();
            object.into_inner().0
        };
        let unsealed = unsealing.encrypt().unwrap().into_inner().0;
        assert!(
            unsealing.seals_as(&unsealed) && unsealing.clone().without_seal().seals_as(&unsealed)
        );
        for (n, one) in all.iter().enumerate() {
            let encryptor = unsealing.clone().with_seal(one.clone());
            assert!(!encryptor.seals_as(&unsealed) && !unsealing.seals_as(&full(one)));
            for (m, other) in all.iter().enumerate() {
                assert_eq!(encryptor.seals_as(&full(other)), n == m, "{n} {m}");
            }
            let of_metadata = encryptor.encrypt().unwrap();
            assert!(!encryptor.seals_as(of_metadata.envelope()), "the body is not sealed");
        }
        let mut adopting = Sealer::adopting(&key_of(&unsealed, &key), &SealOptions::new());
        adopting.set_body(hashed(&adopting, b"")).unwrap();
        let adopted = unsealed.clone().with_seal(adopting.seal(&unsealed));
        assert!(!unsealing.with_seal(SealOptions::new()).seals_as(&adopted));
    }

    #[test]
    fn whether_an_encryptor_seals() {
        let key = AesKeyWrapper::generate().unwrap();
        let plain = Encryptor::new(&key, Dialect::COS_V2);
        let says = |it: &Encryptor| (it.seals(), it.drops_seals());
        assert_eq!(says(&plain), (false, false));
        let sealing = plain.clone().with_seal(SealOptions::new());
        assert_eq!(says(&sealing), (true, false));
        assert_eq!(says(&sealing.without_seal()), (false, true));
        assert_eq!(says(&plain.without_seal().with_seal(SealOptions::new())), (true, false));
    }

    /// A reader of ranges hashes each of them, and compares all of them in the end.
    #[test]
    fn what_was_read_in_ranges_is_compared_with_the_seal() {
        let key = AesKeyWrapper::generate().unwrap();
        let encryptor = Encryptor::new(&key, Dialect::COS_V2).with_seal(SealOptions::new());
        let mut object = encryptor.encrypt().unwrap();
        let body = [7; 5000];
        let mut whole = object.body_hasher().unwrap().whole();
        whole.update(&body);
        object.seal_body(whole.finish()).unwrap();
        let decryptor = Decryptor::new(&Keyring::new().with(key.clone()));
        let cipher = decryptor.decrypt_ctr(object.envelope()).unwrap();
        let hasher = cipher.body_hasher().unwrap();
        let stretch = |bytes: std::ops::Range<u64>, body: &[u8]| {
            let mut stretch = hasher.stretch(bytes);
            stretch.update(body);
            stretch.finish().unwrap()
        };
        let (first, last) = body.split_at(3000);
        let read = |first: &[u8], last: &[u8]| {
            cipher.check_body([stretch(0..3000, first), stretch(3000..5000, last)])
        };
        assert_eq!(read(first, last), Ok(true));
        let mut changed = last.to_vec();
        changed[1999] ^= 1;
        assert_eq!(read(first, &changed), Err(IntegrityError::Seal));
        let half = cipher.check_body([stretch(0..3000, first)]);
        assert_eq!(half, Err(IntegrityError::Seal));
        assert_eq!(cipher.check_digest(&whole.finish()), Ok(true));
        let other = hasher.whole().finish();
        assert_eq!(cipher.check_digest(&other), Err(IntegrityError::Seal));

        let unsealed = Encryptor::new(&key, Dialect::COS_V2).encrypt().unwrap();
        let cipher = decryptor.decrypt_ctr(unsealed.envelope()).unwrap();
        assert!(cipher.body_hasher().is_none());
        assert_eq!(cipher.check_digest(&other), Ok(false));
        assert_eq!(cipher.check_body([]), Ok(false));
    }

    fn key_of(envelope: &Envelope, key: &AesKeyWrapper) -> ContentKey {
        crate::KeyWrapper::unwrap(key, envelope).unwrap()
    }

    /// A new object is refused if the seal of its body will not fit. One that is rewrapped may
    /// never have such a seal.
    #[test]
    fn what_the_longest_seal_takes() {
        let key = AesKeyWrapper::generate().unwrap();
        let sealing = |note: usize| {
            let text = "x".repeat(note);
            let description = MaterialDescription::new([("note", text)]).unwrap();
            let key = key.clone().with_description(description);
            Encryptor::new(&key, Dialect::COS_V2).with_seal(SealOptions::new())
        };
        let of_metadata = |object: crate::EncryptedObject<crate::CtrCipher>| {
            let longest = object.longest_headers();
            (object.into_inner().0, longest.is_ok())
        };
        let room = (0..2048).rev().find(|note| sealing(*note).encrypt().is_ok()).unwrap();
        let (envelope, fits) = of_metadata(sealing(room).encrypt().unwrap());
        assert!(fits);
        assert!(matches!(sealing(room + 1).encrypt(), Err(crate::EncryptError::Emit(_))));
        let keyring = Keyring::new().with(key.clone());
        let keyring = {
            let text = "x".repeat(room);
            let description = MaterialDescription::new([("note", text)]).unwrap();
            keyring.with(key.clone().with_description(description))
        };
        let rewrapped = Decryptor::new(&keyring).rewrap(&envelope, &sealing(room + 1)).unwrap();
        assert!(rewrapped.longest_headers().is_err(), "the seal of its body would not fit");
        assert!(rewrapped.envelope().seal().is_some_and(|seal| !seal.is_full()));
    }
}
