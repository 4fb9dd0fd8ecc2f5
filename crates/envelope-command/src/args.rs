//! Command-line arguments.

mod attributes;
mod cp;
mod doctor;
mod get;
mod help;
mod init;
mod kms;
mod list;
mod log;
mod many;
mod policy;
mod profile;
mod put;
mod restore;
mod rewrap;
mod seal;
mod server_side;
mod sign;
mod store;
mod sync;

use std::{num::NonZeroUsize, path::PathBuf, thread};

use clap::{
    ArgGroup, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use envelope_core::ByteRange;
use meta_codec::{ContentAlgorithm, Dialect, Reader, WrapAlgorithm};

use crate::checksum::Checksum;

pub(crate) use self::{
    attributes::ObjectAttributes,
    cp::{Cp, Mv},
    doctor::Doctor,
    get::{Cat, Get, Verify},
    help::{Completions, Help, Man},
    init::Init,
    kms::{Kms, KmsStyle, ToKms},
    list::{Audit, Du, Ls, Rm, Uploads, UploadsAbort, UploadsCommand, UploadsLs},
    log::Log,
    many::{InventoryFile, MAX_PARALLEL, Many, Parallel, Patterns},
    policy::{Accept, Require, Requirement},
    profile::ProfileChoice,
    put::Put,
    restore::Restore,
    rewrap::BulkArgs,
    seal::{Origin, Sealed, Sealing},
    server_side::{CustomerMode, ServerSide, customer_key},
    sign::{Method as SignMethod, Sign},
    store::{AtVersion, Bucket, Keys, OssSignature, Read},
    sync::SyncArgs,
};

/// Encrypt files for Aliyun OSS and Tencent COS, and decrypt what any of their SDKs wrote.
///
/// An encrypted object consists of a body and a few metadata headers that hold its wrapped content
/// key. `encrypt` produces both from a file, and `decrypt` recovers the file from both.
///
/// AES-CTR, the content cipher of nearly all these formats, does not detect tampering: anyone who
/// can write to the bucket can change your data unnoticed.
///
/// Exit status: 0 success; 1 a file, a store or a KMS cannot be read or written; 2 invalid
/// arguments; 3 the metadata is rejected, or the object is not encrypted; 4 no key fits, or the
/// content key cannot be unwrapped; 5 the decrypted data does not match the metadata; 6 no such
/// object or bucket; 7 access is denied; 8 a service cannot be reached or does not work; 9 a disk
/// is full; 130 interrupted; 141 nobody reads the output any more.
#[derive(Debug, Parser)]
#[command(name = "envelope", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) profile: ProfileChoice,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Init),
    Doctor(Doctor),
    Keygen(Keygen),
    Key(Key),
    Encrypt(Box<Encrypt>),
    Decrypt(Decrypt),
    Inspect(Inspect),
    Rewrap(Box<Rewrap>),
    Put(Box<Put>),
    Get(Box<Get>),
    Sync(Box<SyncArgs>),
    Cp(Box<Cp>),
    Mv(Box<Mv>),
    Cat(Cat),
    Ls(Ls),
    Du(Du),
    Audit(Box<Audit>),
    Verify(Box<Verify>),
    Rm(Rm),
    Restore(Restore),
    Uploads(Uploads),
    Sign(Sign),
    SseHeaders(SseHeaders),
    Bench(Bench),
    Demo(Demo),
    Completions(Completions),
    #[command(hide = true)]
    Man(Man),
    Help(Help),
}

/// Generate a master key.
#[derive(Debug, clap::Args)]
pub(crate) struct Keygen {
    /// The kind of key: `rsa` writes private_key.pem (PKCS#8) and public_key.pem; `aes` writes
    /// master.key (32 bytes in base64); `origin` writes origin.key (the same, for --origin-key).
    pub(crate) kind: KeyKind,
    /// The folder to write the files to, created if necessary. Existing files are never
    /// overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Write RSA keys as DER (PKCS#8 and SubjectPublicKeyInfo), which hadoop-cos reads, to
    /// private_key.der and public_key.der, instead of PEM.
    #[arg(long)]
    pub(crate) der: bool,
    /// The size of an RSA key, from 2048 to 8192 bits.
    #[arg(long, default_value_t = 3072, value_name = "BITS")]
    pub(crate) bits: usize,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

/// Look at a key file.
#[derive(Debug, clap::Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print the kind of a key and its fingerprint, which is the same for both halves of an RSA
    /// key.
    Show(KeyFile),
    /// Print the public half of an RSA key as PEM.
    Public(KeyFile),
}

/// A key file.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyFile {
    /// The key file; `-` is standard input.
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    Aes,
    Origin,
    Rsa,
}

/// Encrypt a file into an object body and its metadata headers.
#[derive(Debug, clap::Args)]
pub(crate) struct Encrypt {
    /// The file to encrypt; `-` is standard input.
    pub(crate) plain: PathBuf,
    /// The master key: an RSA key (the public key is enough) or an AES key, as written by `keygen`.
    #[arg(long, value_name = "FILE", conflicts_with = "kms")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) style: KmsStyle,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    #[command(flatten)]
    pub(crate) readers: Readers,
    #[command(flatten)]
    pub(crate) wrapping: Wrapping,
    #[command(flatten)]
    pub(crate) sealing: Sealing,
    /// Bind the seal to the name under which the object will be stored: the key, without the
    /// bucket. Readers then notice if it is another object's.
    #[arg(long, value_name = "NAME", conflicts_with = "no_seal")]
    pub(crate) bind_name: Option<String>,
    /// The content cipher, `ctr` by default. `gcm` authenticates itself, but only cos-v2 supports
    /// it.
    #[arg(long)]
    pub(crate) content: Option<Content>,
    /// Record in the metadata that the object will be uploaded in parts of this many bytes: a
    /// multiple of 16, at least 102400 for OSS and 1048576 for COS. Accepts the suffixes `KiB`,
    /// `MiB` and `GiB`.
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) part_size: Option<u64>,
    /// Record the MD5 of the *plaintext* in the metadata, for readers to verify. Anyone who can
    /// read the metadata can then confirm a guess at the content and see which objects are equal.
    /// Reads the file twice.
    #[arg(long)]
    pub(crate) leak_plaintext_md5: bool,
    /// Print a checksum of the body as the header that the store uses for it. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) checksum: Vec<Checksum>,
    #[command(flatten)]
    pub(crate) cores: Cores,
    /// The output file for the headers, a flat JSON object of names to values; `-` is standard
    /// output.
    #[arg(long, value_name = "HEADERS.json")]
    pub(crate) metadata_out: PathBuf,
    /// The output file for the body; `-` is standard output.
    #[arg(long, short, value_name = "CIPHER")]
    pub(crate) output: PathBuf,
    /// Overwrite existing output files.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Who must be able to read what is written.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Readers {
    /// An SDK that must be able to read what is written, such as oss-java, cos-python or
    /// hadoop-cos. This chooses --dialect, --wrap and --content. May be repeated.
    #[arg(
        long = "for",
        value_name = "READER",
        value_parser = readers(),
        conflicts_with_all = ["dialect", "wrap", "content"]
    )]
    pub(crate) readers: Vec<Reader>,
    /// `true` if a profile names them.
    #[arg(skip)]
    pub(crate) from_profile: bool,
}

/// Options for wrapping a content key.
#[derive(Debug, clap::Args)]
pub(crate) struct Wrapping {
    /// The metadata format to write. By default, that of the store for `put` and for `rewrap` in a
    /// store, oss-v2 for `encrypt` to a file, and that of the object for `rewrap` of a header file.
    #[arg(long, value_parser = dialects())]
    pub(crate) dialect: Option<Dialect>,
    /// The wrap algorithm, where the dialect has several for one kind of key: rsa-pkcs1v15 (the
    /// default for oss-v2, read by all SDKs) or rsa-oaep-sha1 (read only by oss2's
    /// LocalRsaProvider).
    #[arg(long, value_name = "ALGORITHM", value_parser = wrap)]
    pub(crate) wrap: Option<WrapAlgorithm>,
    /// Allow the AES wrap of cos-v1, with which anyone who learns the content key of one object can
    /// decrypt every object under the same master key.
    #[arg(long)]
    pub(crate) allow_weak_wrap: bool,
    /// An entry of the material description, which identifies the master key to readers that hold
    /// several. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = entry)]
    pub(crate) matdesc: Vec<(String, String)>,
    /// Add a header, specific to `envelope`, that lets it detect a wrong key or altered metadata
    /// before it writes anything. Other readers ignore it.
    #[arg(long)]
    pub(crate) key_check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Content {
    Ctr,
    Gcm,
}

impl Content {
    /// Returns the choice of a content algorithm that is written.
    pub(crate) fn of(algorithm: ContentAlgorithm) -> Self {
        match algorithm {
            ContentAlgorithm::Aes256Gcm => Self::Gcm,
            _ => Self::Ctr,
        }
    }

    /// Returns the content algorithm.
    pub(crate) const fn algorithm(self) -> ContentAlgorithm {
        match self {
            Self::Ctr => ContentAlgorithm::Aes256Ctr,
            Self::Gcm => ContentAlgorithm::Aes256Gcm,
        }
    }
}

/// Number of cores that work on one file.
#[derive(Debug, clap::Args)]
pub(crate) struct Cores {
    /// The number of cores to use; all by default. Applies only to AES-CTR from file to file; all
    /// other work is sequential.
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
    /// The object's body, as stored; `-` is standard input.
    pub(crate) cipher: PathBuf,
    /// The object's headers: a flat JSON object of names to values, or the saved output of
    /// `curl -I`.
    #[arg(long, value_name = "HEADERS.json")]
    pub(crate) metadata: PathBuf,
    /// The body of the instruction file that COS Java stored next to the object.
    #[arg(long, value_name = "FILE")]
    pub(crate) instruction: Option<PathBuf>,
    /// A master key: an RSA private key (PEM or DER; PKCS#1 or PKCS#8; encrypted or not) or an AES
    /// key in base64. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    /// Decrypt only these bytes of the plaintext: `A-B` (inclusive), `A-` or `-N`. No integrity
    /// check is possible for a range.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<ByteRange>,
    #[command(flatten)]
    pub(crate) accept: Accept,
    #[command(flatten)]
    pub(crate) sealed: Sealed,
    /// Read the object twice, and write nothing before the first time has verified all of it. It
    /// takes a regular file, and an object whose body is authenticated.
    #[arg(long, conflicts_with_all = ["range", "delayed", "salvage"])]
    pub(crate) verify_first: bool,
    /// Write an AES-GCM object to a pipe while it is being decrypted; tampering is then detected
    /// only at the end (exit status 5). Without this, up to 64 MiB are held back until the object
    /// is verified.
    #[arg(long)]
    pub(crate) delayed: bool,
    /// Recover every whole block of an AES-CBC object whose end is missing.
    #[arg(long, conflicts_with = "range")]
    pub(crate) salvage: bool,
    #[command(flatten)]
    pub(crate) cores: Cores,
    /// The output file for the plaintext; `-` is standard output. A file appears only once all
    /// checks have passed.
    #[arg(long, short, value_name = "PLAIN")]
    pub(crate) output: PathBuf,
    /// Overwrite an existing output file.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Explain an object's metadata: dialect, algorithms, sizes and weaknesses.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The object's headers (a flat JSON object, or the saved output of `curl -I`; `-` is standard
    /// input), or the address of the object itself: `oss://`, `cos://` or `file:`.
    pub(crate) metadata: PathBuf,
    #[command(flatten)]
    pub(crate) bucket: Bucket,
    #[command(flatten)]
    pub(crate) mode: CustomerMode,
    #[command(flatten)]
    pub(crate) version: AtVersion,
    /// The body of the instruction file that COS Java stored next to the object.
    #[arg(long, value_name = "FILE")]
    pub(crate) instruction: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The master keys with which to open the envelope and verify its seal and its key check, if it
    /// has them.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) require: Require,
    #[command(flatten)]
    pub(crate) sealed: Sealed,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

/// Change the master key of an object, or translate its metadata to another dialect, without
/// touching its body.
///
/// This does not revoke the old master key: anyone who has it, along with the old metadata or an
/// old version of the object, can still decrypt the object.
#[derive(Debug, clap::Args)]
pub(crate) struct Rewrap {
    /// The object's headers (a flat JSON object, or the saved output of `curl -I`), or the address
    /// of the object itself, whose headers are then replaced in the store: `oss://`, `cos://` or
    /// `file:`.
    pub(crate) metadata: PathBuf,
    #[command(flatten)]
    pub(crate) bulk: BulkArgs,
    /// The body of the instruction file that COS Java stored next to the object.
    #[arg(long, value_name = "FILE")]
    pub(crate) instruction: Option<PathBuf>,
    /// The current master key of the object. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: Kms,
    #[command(flatten)]
    pub(crate) require: Require,
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
    #[command(flatten)]
    pub(crate) sealed: Sealed,
    /// Write no seal, even if the object has one.
    #[arg(long)]
    pub(crate) no_seal: bool,
    /// Read the body of an object whose seal does not cover it, once, and seal it. The seal is
    /// marked as adopted: it vouches for what is in the store now.
    #[arg(long, conflicts_with = "no_seal")]
    pub(crate) seal_body: bool,
    /// The output file for the new headers, required if the old ones come from a file; `-` is
    /// standard output.
    #[arg(long, value_name = "NEW.json")]
    pub(crate) metadata_out: Option<PathBuf>,
    /// Overwrite an existing output file.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Print the headers that request server-side encryption from OSS or COS, for `curl -H @FILE`.
///
/// The store itself performs this encryption, so it does not protect data from the store. It can be
/// used with or without client-side encryption.
#[derive(Debug, clap::Args)]
pub(crate) struct SseHeaders {
    /// The vendor and mode: cos (the store keeps the key), cos-kms, cos-customer (a key of your
    /// own), oss or oss-kms.
    pub(crate) mode: SseMode,
    /// The kind of request that the headers are for.
    #[arg(long, default_value = "put")]
    pub(crate) request: SseRequest,
    /// The URL scheme of the request. A customer key is never sent over http.
    #[arg(long, default_value = "https")]
    pub(crate) scheme: SseScheme,
    /// Encrypt with SM4 instead of AES-256.
    #[arg(long)]
    pub(crate) sm4: bool,
    /// The ID of the master key in the KMS; by default, the service's default key.
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: Option<String>,
    /// An entry of the encryption context for cos-kms. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = entry)]
    pub(crate) context: Vec<(String, String)>,
    /// The customer key for cos-customer: 32 bytes in base64, as written by `keygen aes`.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The customer key with which the *source* of a copy was encrypted.
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

/// Measure this machine: its encryption speed, the instructions used, and its memory bandwidth.
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) cores: Cores,
}

/// Demonstrate the main functions: generate a throwaway key, encrypt and decrypt a generated file,
/// then tamper with the metadata and show that it is rejected.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The size of the generated file.
    #[arg(long, value_name = "N", value_parser = size, default_value = "64MiB")]
    pub(crate) size: u64,
}

/// Source of the passphrase for encrypted key files. It is never an argument, because every user of
/// the machine can read the arguments of a process.
#[derive(Debug, Default, clap::Args)]
#[command(group = ArgGroup::new("passphrase_source").multiple(false))]
pub(crate) struct Passphrase {
    /// The file that holds the passphrase for the key files; one trailing line break is removed.
    #[arg(long, value_name = "FILE", group = "passphrase_source")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The open file descriptor from which to read the passphrase.
    #[arg(long, value_name = "N", group = "passphrase_source", value_parser = Descriptor)]
    pub(crate) passphrase_fd: Option<u32>,
    /// The environment variable that holds the passphrase.
    #[arg(long, value_name = "NAME", group = "passphrase_source")]
    pub(crate) passphrase_env: Option<String>,
}

/// A parser of descriptors whose errors do not repeat what was given, because it may be the
/// passphrase itself.
#[derive(Clone, Debug)]
struct Descriptor;

impl TypedValueParser for Descriptor {
    type Value = u32;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<u32, clap::Error> {
        value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
            let words = "--passphrase-fd takes the number of an open descriptor";
            command.clone().error(clap::error::ErrorKind::ValueValidation, words)
        })
    }
}

/// Returns a parser of the dialects that are written, with their writers in the help.
fn dialects() -> impl TypedValueParser<Value = Dialect> {
    let writable = Dialect::ALL.into_iter().filter(|dialect| dialect.is_writable());
    PossibleValuesParser::new(writable.map(|it| PossibleValue::new(it.id()).help(it.writers())))
        .try_map(|id| id.parse::<Dialect>())
}

/// Returns a parser of readers, with the names and versions of their SDKs in the help.
fn readers() -> impl TypedValueParser<Value = Reader> {
    let all = Reader::ALL.map(|reader| {
        let versions = reader.versions().join(", ");
        PossibleValue::new(reader.id()).help(format!("{} {versions}", reader.sdk()))
    });
    PossibleValuesParser::new(all).try_map(|id| id.parse::<Reader>())
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
        .ok_or_else(|| "expected NAME=VALUE".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1_u64)];
    units
        .into_iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor)))
        .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|(number, factor)| number.parse::<u64>().ok()?.checked_mul(factor))
        .ok_or_else(|| "expected a number of bytes, optionally in KiB, MiB or GiB".to_owned())
}
