//! The arguments of the command.

mod kms;
mod remote;

use std::{num::NonZeroUsize, path::PathBuf, thread};

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};
use envelope_core::ByteRange;
use meta_codec::{Dialect, WrapAlgorithm};

use crate::checksum::Checksum;

pub(crate) use self::{
    kms::{Kms, KmsName, KmsStyle, KmsVendor, ToKms},
    remote::{Bucket, Cat, Get, Keys, Ls, Many, OssSignature, Put, Read, Rm, Verify},
};

/// Encrypt files before they go to Aliyun OSS or Tencent COS, and decrypt what any of their SDKs wrote.
///
/// An encrypted object is a body and a few metadata headers with its wrapped content key. `encrypt`
/// makes both from a file, `decrypt` makes the file from both.
///
/// AES-CTR, the content cipher of nearly all these formats, does not notice tampering: whoever can
/// write to the bucket can change your data unseen.
///
/// Exit status: 0 done; 1 a file or a KMS cannot be read, written or reached; 2 wrong arguments; 3 metadata refused, or
/// the object is not encrypted; 4 no key fits, or the content key does not come out; 5 what was
/// decrypted is not what the metadata says.
#[derive(Debug, Parser)]
#[command(name = "envelope", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Keygen(Keygen),
    Encrypt(Encrypt),
    Decrypt(Decrypt),
    Inspect(Inspect),
    Rewrap(Rewrap),
    Put(Put),
    Get(Get),
    Cat(Cat),
    Ls(Ls),
    Verify(Verify),
    Rm(Rm),
    SseHeaders(SseHeaders),
    Bench(Bench),
    Demo(Demo),
}

/// Make a master key.
#[derive(Debug, clap::Args)]
pub(crate) struct Keygen {
    /// `rsa` makes private_key.pem (PKCS#8) and public_key.pem; `aes` makes master.key (base64 of 32
    /// bytes).
    pub(crate) kind: KeyKind,
    /// The folder for the files; made if it is not there. Existing files are never overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The length of an RSA key, 2048 to 8192 bits.
    #[arg(long, default_value_t = 3072, value_name = "BITS")]
    pub(crate) bits: usize,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    Aes,
    Rsa,
}

/// Encrypt a file into an object body and its metadata headers.
#[derive(Debug, clap::Args)]
pub(crate) struct Encrypt {
    /// The file to encrypt; `-` is standard input.
    pub(crate) plain: PathBuf,
    /// The master key: an RSA key (public is enough) or an AES key, as `keygen` makes them.
    #[arg(long, value_name = "FILE", required_unless_present = "kms", conflicts_with = "kms")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) style: KmsStyle,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    #[command(flatten)]
    pub(crate) wrapping: Wrapping,
    /// The content cipher. `gcm` notices tampering, but only cos-v2 has it.
    #[arg(long, default_value = "ctr")]
    pub(crate) content: Content,
    /// Say in the metadata that the upload is cut into parts of this many bytes: a multiple of 16, at
    /// least 102400 for OSS and 1048576 for COS. `KiB` and `MiB` may follow the number.
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) part_size: Option<u64>,
    /// Write the MD5 of the *plaintext* into the metadata, for readers to verify. Whoever can read the
    /// metadata can then check a guess of the content, and sees which objects are equal. Reads the
    /// file twice.
    #[arg(long)]
    pub(crate) leak_plaintext_md5: bool,
    /// Print the checksum of the body, as the header in which the store has it. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) checksum: Vec<Checksum>,
    #[command(flatten)]
    pub(crate) cores: Cores,
    /// Where the headers go: a flat JSON object of names to values. `-` is standard output.
    #[arg(long, value_name = "HEADERS.json")]
    pub(crate) metadata_out: PathBuf,
    /// Where the body goes; `-` is standard output.
    #[arg(long, short, value_name = "CIPHER")]
    pub(crate) output: PathBuf,
    /// Overwrite existing outputs.
    #[arg(long)]
    pub(crate) force: bool,
}

/// How a content key is wrapped.
#[derive(Debug, clap::Args)]
pub(crate) struct Wrapping {
    /// How to write the metadata: oss-v2 (every OSS SDK), cos-v2 (COS Java, hadoop-cos), cos-v1 (COS
    /// Python) or oss-v1 (oss2 before 2.11). Without it, `encrypt` writes oss-v2 and `rewrap` what the
    /// object has.
    #[arg(long, value_parser = dialect)]
    pub(crate) dialect: Option<Dialect>,
    /// The wrap algorithm, where the dialect has several for one kind of key: rsa-pkcs1v15 (the default
    /// of oss-v2, read by all) or rsa-oaep-sha1 (read by oss2's LocalRsaProvider only).
    #[arg(long, value_name = "ALGORITHM", value_parser = wrap)]
    pub(crate) wrap: Option<WrapAlgorithm>,
    /// Allow the AES wrap of cos-v1, which gives away all objects of a master key to whoever learns the
    /// content key of one.
    #[arg(long)]
    pub(crate) allow_weak_wrap: bool,
    /// Say which master key this is; readers with several keys choose by it. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = entry)]
    pub(crate) matdesc: Vec<(String, String)>,
    /// Add a header of our own that lets `envelope` notice a wrong key and altered metadata before it
    /// writes anything. Other readers pass over it.
    #[arg(long)]
    pub(crate) key_check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Content {
    Ctr,
    Gcm,
}

/// How many cores work on one file.
#[derive(Debug, clap::Args)]
pub(crate) struct Cores {
    /// On how many cores to work; all by default. From file to file with AES-CTR; everything else is
    /// done in order.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

impl Cores {
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads
            .and_then(|threads| NonZeroUsize::new(threads.into()))
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }
}

/// Decrypt an object.
#[derive(Debug, clap::Args)]
pub(crate) struct Decrypt {
    /// The object's body as stored; `-` is standard input.
    pub(crate) cipher: PathBuf,
    /// The object's headers: a flat JSON object of names to values, or the saved output of `curl -I`.
    #[arg(long, value_name = "HEADERS.json")]
    pub(crate) metadata: PathBuf,
    /// The body of the instruction file that COS Java wrote beside the object.
    #[arg(long, value_name = "FILE")]
    pub(crate) instruction: Option<PathBuf>,
    /// A master key: an RSA private key (PEM or DER; PKCS#1 or PKCS#8; encrypted or not) or the base64
    /// text of an AES key. Several may be given.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    /// Decrypt only these bytes of the plaintext: `A-B` (both included), `A-` or `-N`. Nothing can then
    /// be checked.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<ByteRange>,
    /// Allow a range of an AES-GCM object, whose tag is then not checked.
    #[arg(long, requires = "range")]
    pub(crate) unauthenticated_range: bool,
    /// Let an AES-GCM object out on a pipe as it is decrypted; whether it was tampered with is known
    /// only at the end (exit status 5). Without this, up to 64 MiB are held back until then.
    #[arg(long)]
    pub(crate) delayed: bool,
    /// Give back every whole block of an AES-CBC object whose end is missing.
    #[arg(long, conflicts_with = "range")]
    pub(crate) salvage: bool,
    /// Copy an object without encryption metadata as it is. Whoever can strip metadata can then pass
    /// off whatever they like.
    #[arg(long)]
    pub(crate) allow_plaintext: bool,
    #[command(flatten)]
    pub(crate) cores: Cores,
    /// Where the plaintext goes; `-` is standard output. A file appears only after all checks.
    #[arg(long, short, value_name = "PLAIN")]
    pub(crate) output: PathBuf,
    /// Overwrite an existing output.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Explain an object's metadata: dialect, algorithms, sizes, and what is weak about it.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The object's headers: a flat JSON object, or the saved output of `curl -I`; `-` is standard
    /// input. Or the object itself: `oss://`, `cos://` or `file:`.
    pub(crate) metadata: PathBuf,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    /// The body of the instruction file that COS Java wrote beside the object.
    #[arg(long, value_name = "FILE")]
    pub(crate) instruction: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Master keys with which to verify the key check, if there is one.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

/// Change the master key of an object, or translate its metadata to another dialect, without touching
/// its body.
///
/// This does not lock out the old master key: whoever has it, and the old metadata or an old version of
/// the object, can still open it.
#[derive(Debug, clap::Args)]
pub(crate) struct Rewrap {
    /// The object's headers: a flat JSON object, or the saved output of `curl -I`. Or the object itself, whose
    /// headers are then replaced in the store: `oss://`, `cos://` or `file:`.
    pub(crate) metadata: PathBuf,
    #[command(flatten)]
    pub(crate) many: Many,
    /// The body of the instruction file that COS Java wrote beside the object.
    #[arg(long, value_name = "FILE")]
    pub(crate) instruction: Option<PathBuf>,
    /// The master key that opens the object now. Several may be given.
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "kms")]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    /// The new master key.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "to_kms",
        conflicts_with = "to_kms"
    )]
    pub(crate) to_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) to_kms: ToKms,
    #[command(flatten)]
    pub(crate) style: KmsStyle,
    #[command(flatten)]
    pub(crate) wrapping: Wrapping,
    /// Where the new headers go, if they came from a file; `-` is standard output.
    #[arg(long, value_name = "NEW.json")]
    pub(crate) metadata_out: Option<PathBuf>,
    /// Overwrite an existing output.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Print the headers that ask OSS or COS to encrypt on the server's side, for `curl -H @FILE`.
///
/// This is the store's own encryption: it protects nothing from the store. It goes along with client-side
/// encryption, and without.
#[derive(Debug, clap::Args)]
pub(crate) struct SseHeaders {
    /// Whose headers, and which mode: cos (the store keeps the key), cos-kms, cos-customer (a key of
    /// your own), oss or oss-kms.
    pub(crate) mode: SseMode,
    /// The request that the headers are for.
    #[arg(long, default_value = "put")]
    pub(crate) request: SseRequest,
    /// How the request travels. A customer key is never sent over http.
    #[arg(long, default_value = "https")]
    pub(crate) scheme: SseScheme,
    /// Encrypt with SM4 instead of AES-256.
    #[arg(long)]
    pub(crate) sm4: bool,
    /// The master key in the KMS; without it, the service's default key.
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: Option<String>,
    /// An entry of the encryption context of cos-kms. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = entry)]
    pub(crate) context: Vec<(String, String)>,
    /// The customer key of cos-customer: base64 text of 32 bytes, as `keygen aes` makes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The customer key with which the *source* of a copy was written.
    #[arg(long, value_name = "FILE")]
    pub(crate) copy_source_key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SseMode {
    Cos,
    CosKms,
    CosCustomer,
    Oss,
    OssKms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SseRequest {
    Put,
    Get,
    Head,
    Init,
    Part,
    Copy,
    Restore,
    Append,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SseScheme {
    Http,
    Https,
}

/// Measure this machine: how fast it encrypts, which instructions do it, and what its memory allows.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) cores: Cores,
}

/// A demonstration: makes a throw-away key, encrypts a file of its own making, decrypts it, tampers
/// with the metadata and shows the refusal.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The size of the file.
    #[arg(long, value_name = "N", value_parser = size, default_value = "64MiB")]
    pub(crate) size: u64,
}

/// Where the passphrase of an encrypted key file comes from. Never from an argument, which every user
/// of the machine can read.
#[derive(Debug, Default, clap::Args)]
#[command(group = ArgGroup::new("passphrase_source").multiple(false))]
pub(crate) struct Passphrase {
    /// The file that holds the passphrase of the key files; one line end is dropped.
    #[arg(long, value_name = "FILE", group = "passphrase_source")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The open file descriptor to read the passphrase from.
    #[arg(long, value_name = "N", group = "passphrase_source")]
    pub(crate) passphrase_fd: Option<u32>,
    /// The environment variable that holds the passphrase.
    #[arg(long, value_name = "NAME", group = "passphrase_source")]
    pub(crate) passphrase_env: Option<String>,
}

fn dialect(id: &str) -> Result<Dialect, String> {
    id.parse::<Dialect>().ok().filter(|dialect| dialect.is_writable()).ok_or_else(|| {
        let ids: Vec<&str> =
            Dialect::ALL.into_iter().filter(|each| each.is_writable()).map(Dialect::id).collect();
        format!("the dialects that are written are {}", ids.join(", "))
    })
}

fn wrap(id: &str) -> Result<WrapAlgorithm, String> {
    WrapAlgorithm::ALL.into_iter().find(|wrap| wrap.id() == id).ok_or_else(|| {
        let ids: Vec<&str> = WrapAlgorithm::ALL.into_iter().map(WrapAlgorithm::id).collect();
        format!("the wrap algorithms are {}", ids.join(", "))
    })
}

fn entry(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "it must be NAME=VALUE".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1_u64)];
    units
        .into_iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor)))
        .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|(number, factor)| number.parse::<u64>().ok()?.checked_mul(factor))
        .ok_or_else(|| "it must be a number of bytes, with KiB, MiB or GiB or without".to_owned())
}
