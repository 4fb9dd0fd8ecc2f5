//! The keyed hash of a whole body, of which stretches can be hashed in any order.
//!
//! It is keyed BLAKE3, a tree of chunks of 1024 bytes. The subtrees of different stretches are
//! hashed on their own and merged at the end, into the same hash as that of the body in one piece.

use std::{iter::Peekable, ops::Range, sync::Arc};

use blake3::{
    CHUNK_LEN, Hasher,
    hazmat::{
        ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root,
        merge_subtrees_root,
    },
};
use meta_codec::SealedBody;
use zeroize::Zeroizing;

/// The length of a chunk, in bytes.
const CHUNK: u64 = CHUNK_LEN as u64;

/// The length of a body and its keyed hash, for [`EncryptedObject::seal_body`].
///
/// [`EncryptedObject::seal_body`]: crate::EncryptedObject::seal_body
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyDigest {
    pub(crate) len: u64,
    pub(crate) digest: [u8; 32],
}

impl BodyDigest {
    /// Returns the length of the body, in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the body is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<BodyDigest> for SealedBody {
    fn from(body: BodyDigest) -> Self {
        Self::Digest { len: body.len, digest: body.digest }
    }
}

/// The hasher of one object's body, as it is stored. Its key is derived from the content key;
/// clones share it, and it is wiped with the last of them.
///
/// ```
/// use envelope_core::{AesKeyWrapper, Dialect, Encryptor, SealOptions};
///
/// let encryptor = Encryptor::new(&AesKeyWrapper::generate()?, Dialect::COS_V2);
/// let object = encryptor.with_seal(SealOptions::new()).encrypt()?;
/// let hasher = object.body_hasher().expect("the object is sealed");
/// let body = [7; 5000];
///
/// let mut one = hasher.whole();
/// one.update(&body);
/// let [mut last, mut first] = [hasher.stretch(3000..5000), hasher.stretch(0..3000)];
/// last.update(&body[3000..]);
/// first.update(&body[..3000]);
/// let stretches = [first.finish(), last.finish()].into_iter().flatten();
/// assert_eq!(hasher.join(stretches), Some(one.finish()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret is not printed")]
pub struct BodyHasher(Arc<Zeroizing<[u8; 32]>>);

impl BodyHasher {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(Arc::new(key))
    }

    /// Starts the hash of a body that comes in one piece, from its beginning to its end.
    #[must_use]
    pub fn whole(&self) -> WholeHasher {
        WholeHasher(self.hasher(0))
    }

    /// Starts the hash of these bytes of a body.
    #[must_use]
    pub fn stretch(&self, bytes: Range<u64>) -> StretchHasher {
        StretchHasher {
            key: self.clone(),
            stretch: Stretch::new(bytes.start),
            node: None,
            end: bytes.end,
        }
    }

    /// Returns the hash of the body that these stretches make up, in this order, or `None` if they
    /// do not begin at its beginning or leave gaps.
    #[must_use]
    pub fn join(&self, stretches: impl IntoIterator<Item = Stretch>) -> Option<BodyDigest> {
        let mut joined = Joined { key: self, nodes: Vec::new(), len: 0, chunk: Vec::new() };
        let mut len = 0;
        for stretch in stretches {
            if stretch.start != len {
                return None;
            }
            len = stretch.end;
            joined.append(&stretch.head);
            for node in stretch.nodes {
                joined.push_chunk();
                joined.push(node);
            }
            joined.append(&stretch.tail);
        }
        let digest = joined.finish(len)?;
        Some(BodyDigest { len, digest })
    }

    fn hasher(&self, start: u64) -> Zeroizing<Hasher> {
        let mut hasher = Zeroizing::new(Hasher::new_keyed(&self.0));
        hasher.set_input_offset(start);
        hasher
    }
}

/// The hash of a body that comes in one piece.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "holds a secret, which is not printed")]
pub struct WholeHasher(Zeroizing<Hasher>);

impl WholeHasher {
    /// Feeds the next bytes of the body.
    pub fn update(&mut self, body: &[u8]) {
        self.0.update(body);
    }

    /// Returns the hash of all bytes fed.
    #[must_use]
    pub fn finish(&self) -> BodyDigest {
        BodyDigest { len: self.0.count(), digest: self.0.finalize().into() }
    }
}

/// The hash of some bytes of a body, to be [joined](BodyHasher::join) with others. Two are equal
/// only if they are of equal bytes in the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    start: u64,
    end: u64,
    /// The bytes before the first chunk that belongs to this stretch alone. The first chunk of a
    /// body is always here, because it is hashed differently if it is the only one.
    head: Vec<u8>,
    nodes: Vec<Node>,
    /// The bytes of a chunk that the next stretch completes.
    tail: Vec<u8>,
}

/// A subtree: 2^n whole chunks, at a multiple of their length; or a chunk, the last one of which
/// may be short.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    len: u64,
    value: ChainingValue,
}

impl Stretch {
    const fn new(start: u64) -> Self {
        Self { start, end: start, head: Vec::new(), nodes: Vec::new(), tail: Vec::new() }
    }

    /// Returns where its nodes begin, unless it ends before.
    const fn first_node(&self) -> u64 {
        match self.start.checked_next_multiple_of(CHUNK) {
            Some(0) => CHUNK,
            Some(first) => first,
            None => u64::MAX,
        }
    }
}

/// The hash of some bytes of a body, while they are fed in order.
#[expect(missing_debug_implementations, reason = "holds a secret, which is not printed")]
pub struct StretchHasher {
    key: BodyHasher,
    stretch: Stretch,
    /// The subtree that is being hashed, with its end.
    node: Option<(Zeroizing<Hasher>, u64)>,
    end: u64,
}

impl StretchHasher {
    /// Feeds the next bytes of the stretch.
    pub fn update(&mut self, mut body: &[u8]) {
        while !body.is_empty() {
            let at = self.stretch.end;
            let last_node = self.end - self.end % CHUNK;
            let until = if at < self.stretch.first_node() {
                self.stretch.first_node()
            } else if at < last_node {
                match &self.node {
                    Some((_, end)) => *end,
                    None => at.saturating_add(subtree(at, last_node - at)),
                }
            } else {
                u64::MAX
            };
            let fitting = usize::try_from(until.saturating_sub(at)).unwrap_or(usize::MAX);
            let (bytes, rest) = body.split_at(fitting.min(body.len()));
            body = rest;
            self.stretch.end = at.saturating_add(bytes.len() as u64);
            if at < self.stretch.first_node() {
                self.stretch.head.extend_from_slice(bytes);
            } else if at < last_node {
                self.feed_node(at, until, bytes);
            } else if self.stretch.end <= self.end {
                // What is beyond the end is noticed there.
                self.stretch.tail.extend_from_slice(bytes);
            }
        }
    }

    fn feed_node(&mut self, at: u64, end: u64, bytes: &[u8]) {
        let (mut hasher, end) = self.node.take().unwrap_or_else(|| (self.key.hasher(at), end));
        hasher.update(bytes);
        if self.stretch.end < end {
            self.node = Some((hasher, end));
        } else {
            let node = Node { len: hasher.count(), value: hasher.finalize_non_root() };
            self.stretch.nodes.push(node);
        }
    }

    /// Returns the hash, or `None` if more or fewer bytes were fed than the stretch has.
    #[must_use]
    pub fn finish(self) -> Option<Stretch> {
        (self.stretch.end == self.end).then_some(self.stretch)
    }
}

/// Returns the length of the largest subtree that begins at byte `at` and has at most `len` bytes.
/// Both are multiples of the length of a chunk, and not 0.
const fn subtree(at: u64, len: u64) -> u64 {
    let aligned = 1 << at.trailing_zeros();
    let fitting = 1 << (u64::BITS - 1).saturating_sub(len.leading_zeros());
    if aligned < fitting { aligned } else { fitting }
}

/// Stretches that are being joined.
struct Joined<'a> {
    key: &'a BodyHasher,
    nodes: Vec<Node>,
    /// The length of all nodes together.
    len: u64,
    /// The bytes of a chunk that is not hashed yet.
    chunk: Vec<u8>,
}

impl Joined<'_> {
    /// Appends bytes that do not go beyond a chunk.
    fn append(&mut self, bytes: &[u8]) {
        if self.chunk.len() as u64 == CHUNK && !bytes.is_empty() {
            self.push_chunk();
        }
        self.chunk.extend_from_slice(bytes);
    }

    fn push_chunk(&mut self) {
        if !self.chunk.is_empty() {
            let mut hasher = self.key.hasher(self.len);
            hasher.update(&self.chunk);
            self.push(Node { len: hasher.count(), value: hasher.finalize_non_root() });
            self.chunk.clear();
        }
    }

    fn push(&mut self, node: Node) {
        self.len = self.len.saturating_add(node.len);
        self.nodes.push(node);
    }

    fn finish(mut self, len: u64) -> Option<[u8; 32]> {
        if self.nodes.is_empty() {
            let mut whole = self.key.whole();
            whole.update(&self.chunk);
            return Some(whole.finish().digest);
        }
        self.push_chunk();
        let mut nodes = self.nodes.iter().peekable();
        let (mode, left) = (Mode::KeyedHash(&self.key.0), left_subtree_len(len));
        let one = merged(&mut nodes, left, mode)?;
        let other = merged(&mut nodes, len.checked_sub(left)?, mode)?;
        let root = merge_subtrees_root(&one, &other, mode);
        nodes.next().is_none().then_some(root.into())
    }
}

/// Merges the nodes of a subtree of `len` bytes.
fn merged<'a>(
    nodes: &mut Peekable<impl Iterator<Item = &'a Node>>,
    len: u64,
    mode: Mode<'_>,
) -> Option<ChainingValue> {
    if nodes.peek()?.len == len {
        return nodes.next().map(|node| node.value);
    }
    if len <= CHUNK {
        return None;
    }
    let left = left_subtree_len(len);
    let one = merged(nodes, left, mode)?;
    let other = merged(nodes, len.saturating_sub(left), mode)?;
    Some(merge_subtrees_non_root(&one, &other, mode))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hasher() -> BodyHasher {
        BodyHasher::new(Zeroizing::new([7; 32]))
    }

    fn body(len: usize) -> Vec<u8> {
        (0..=250).cycle().take(len).collect()
    }

    /// Hashes stretches that end at `cuts`, each fed in pieces of `step` bytes.
    fn in_stretches(body: &[u8], cuts: &[usize], step: usize) -> Option<BodyDigest> {
        let mut start = 0;
        let mut stretches = Vec::new();
        for end in cuts.iter().copied().chain([body.len()]) {
            let mut stretch = hasher().stretch(start as u64..end as u64);
            body[start..end].chunks(step).for_each(|piece| stretch.update(piece));
            stretches.push(stretch.finish().unwrap());
            start = end;
        }
        hasher().join(stretches)
    }

    fn in_one(body: &[u8]) -> BodyDigest {
        let digest = *blake3::keyed_hash(&[7; 32], body).as_bytes();
        let mut whole = hasher().whole();
        body.chunks(1000).for_each(|piece| whole.update(piece));
        let want = BodyDigest { len: body.len() as u64, digest };
        assert_eq!(whole.finish(), want);
        assert_eq!((want.len(), want.is_empty()), (body.len() as u64, body.is_empty()));
        want
    }

    #[test]
    fn around_every_power_of_two() {
        for power in 0..18 {
            for len in [(1_usize << power) - 1, 1 << power, (1 << power) + 1] {
                let body = body(len);
                assert_eq!(in_stretches(&body, &[], 4096), Some(in_one(&body)), "{len}");
                for cut in [0, 1, 1023, 1024, 1025, 4096, 65_536, len / 2, len] {
                    let cut = cut.min(len);
                    let got = in_stretches(&body, &[cut], 100_000);
                    assert_eq!(got, Some(in_one(&body)), "{len} {cut}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn wherever_it_is_cut(
            len in 0_usize..40_000,
            cuts in prop::collection::vec(0_usize..40_000, 0..6),
            step in 1_usize..5000,
        ) {
            let body = body(len);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(len)).collect();
            cuts.sort_unstable();
            prop_assert_eq!(in_stretches(&body, &cuts, step), Some(in_one(&body)));
        }
    }

    #[test]
    fn gaps_and_wrong_lengths_are_noticed() {
        let body = body(10_000);
        let stretch = |bytes: Range<usize>| {
            let mut stretch = hasher().stretch(bytes.start as u64..bytes.end as u64);
            stretch.update(&body[bytes]);
            stretch.finish().unwrap()
        };
        let whole = [stretch(0..3000), stretch(3000..7000), stretch(7000..10_000)];
        assert!(hasher().join(whole.clone()).is_some());
        assert_eq!(hasher().join(whole[..2].iter().rev().cloned()), None);
        assert_eq!(hasher().join([whole[0].clone(), whole[2].clone()]), None);
        assert_eq!(hasher().join(whole[1..].to_vec()), None);
        for fed in [0, 1, 2999, 3001, 9000] {
            let mut short = hasher().stretch(0..3000);
            short.update(&body[..fed]);
            assert_eq!(short.finish(), None, "{fed}");
        }
        assert_eq!(hasher().join([]), Some(in_one(&[])));
    }

    #[test]
    fn a_changed_byte_changes_its_stretch() {
        let bytes = body(5000);
        let stretch = |body: &[u8]| {
            let mut stretch = hasher().stretch(700..5700);
            stretch.update(body);
            stretch.finish().unwrap()
        };
        for at in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(stretch(&other), stretch(&bytes), "{at}");
        }
    }
}
