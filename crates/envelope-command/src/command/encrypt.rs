//! `envelope encrypt`: encrypts a file into a body and its headers.

use std::{
    io::{self, Read},
    path::Path,
};

use envelope_core::{
    BodyDigest, CtrCipher, EncryptedObject, Encryptor, IntegrityError, PartPlan, PlainCheck,
    io::{EncryptReader, FilePass},
};
use meta_codec::{Dialect, Envelope, MaterialDescription, Vendor};

use crate::{
    args::{Content, Encrypt, Wrapping},
    checksum::Checksums,
    copy::{copy, md5},
    failure::{Code, Failure, warn},
    header_file,
    input::{Input, check_one_stdin},
    key_file::MasterKey,
    output::{Output, Secrecy, check_distinct, is_standard_output},
    progress, readers,
};

pub(crate) fn run(mut args: Encrypt) -> Result<(), Failure> {
    readers::settle_encrypt(&mut args)?;
    let args = &args;
    let mut inputs = vec![args.plain.as_path()];
    inputs.extend(args.key.as_deref());
    inputs.extend(args.kms.kms_passphrase_file.as_deref());
    inputs.extend(args.sealing.origin.path());
    check_one_stdin(inputs.iter().copied(), &args.passphrase)?;
    inputs.extend(args.passphrase.path());
    check_distinct(&args.output, &args.metadata_out)?;
    check_checksums(args)?;
    let dialect = args.wrapping.dialect.unwrap_or(Vendor::DEFAULT.default_dialect());
    let passphrase = args.passphrase.read()?;
    let key = MasterKey::one(
        args.key.as_deref(),
        passphrase.as_ref().map(|bytes| &bytes[..]),
        args.kms.key()?,
        args.style,
        dialect,
    )?
    .with_description(args.wrapping.description(dialect)?);

    let mut input = Input::open(&args.plain)?;
    let len = input.len();
    let mut encryptor = args.wrapping.encryptor(&key, dialect);
    if let Some(options) = args.sealing.options(args.bind_name.as_deref())? {
        encryptor = encryptor.with_seal(options);
    }
    if let Some(len) = len {
        encryptor = encryptor.with_plain_len(len);
        if len > args.content.unwrap_or(Content::Ctr).algorithm().max_plain_len() {
            return Err(Failure::usage(
                IntegrityError::TooLong,
                "use --content ctr, or split the file",
            ));
        }
    }
    if let Some(part_size) = args.part_size {
        encryptor = encryptor.with_parts(plan(len, part_size, dialect)?);
    }
    if args.leak_plaintext_md5 {
        encryptor = encryptor.with_plain_md5(plain_md5(&args.plain, &mut input)?);
    }

    let mut body = Output::create(&args.output, Secrecy::Public, args.force, &inputs)?;
    let mut metadata = Output::create(&args.metadata_out, Secrecy::Public, args.force, &inputs)?;

    let mut sums = Checksums::new(&args.checksum);
    let headers = match args.content.unwrap_or(Content::Ctr) {
        Content::Ctr => {
            let mut object = encryptor.encrypt()?;
            let digest = ctr(args, input, &object, &mut body, &mut sums)?;
            if object.body_hasher().is_some() {
                object.seal_body(digest.ok_or_else(Failure::changed)?)?;
            }
            object.headers().to_vec()
        }
        Content::Gcm => {
            let object = encryptor.encrypt_gcm()?;
            let (envelope, headers) = (object.envelope().clone(), object.headers().to_vec());
            let input = Checked::new(input, &envelope);
            let reader = EncryptReader::new(input, object.into_cipher());
            stream(args, reader, len, &envelope, &mut body, &mut sums)?;
            headers
        }
    };
    header_file::write(&headers, &mut metadata)?;
    // A body without its wrapped key is useless.
    body.commit_both(metadata)?;
    sums.print(dialect)
}

/// Encrypts from file to file on several cores, or otherwise as a stream. An MD5, which must be
/// computed in order, always requires a stream. Returns the hash of the body, if it is sealed.
fn ctr(
    args: &Encrypt,
    input: Input,
    object: &EncryptedObject<CtrCipher>,
    body: &mut Output,
    sums: &mut Checksums,
) -> Result<Option<BodyDigest>, Failure> {
    let (len, hasher) = (input.len(), object.body_hasher());
    let (envelope, cipher) = (object.envelope(), object.cipher());
    if let (Input::File(from), Some(len), Some(to)) = (&input, len, body.file())
        && sums.md5.is_none()
        && envelope.plain_md5().is_none()
    {
        let bar = progress::bar(Some(len));
        let mut pass = FilePass::new(cipher, from, 0..len, to)
            .with_threads(args.cores.threads())
            .with_sum(sums.crc64.is_some())
            .with_end(true);
        if let Some(hasher) = &hasher {
            pass = pass.with_hasher(hasher);
        }
        let done = pass
            .run(|bytes| bar.inc(bytes))
            .map_err(|error| Failure::pass(error, &args.plain, body.path()))?;
        sums.crc64 = done.crc64;
        bar.finish_and_clear();
        return Ok(done.digest);
    }
    if let Some(hasher) = &hasher {
        sums.hash_with(hasher);
    }
    let reader = EncryptReader::new(Checked::new(input, envelope), cipher.at(0));
    stream(args, reader, len, envelope, body, sums)?;
    Ok(sums.digest())
}

fn stream(
    args: &Encrypt,
    reader: impl Read + Send + 'static,
    len: Option<u64>,
    envelope: &Envelope,
    body: &mut Output,
    sums: &mut Checksums,
) -> Result<(), Failure> {
    let written = copy(reader, &args.plain, body, len, sums).map_err(changed)?;
    // The reader cannot check the length for a dialect that has no header for it.
    match len.and_then(|len| envelope.content_algorithm().body_len(len)) {
        Some(want) if want != written => Err(Failure::changed()),
        _ => Ok(()),
    }
}

fn check_checksums(args: &Encrypt) -> Result<(), Failure> {
    let taken = [&args.output, &args.metadata_out].into_iter().any(|path| is_standard_output(path));
    if args.checksum.is_empty() || !taken {
        return Ok(());
    }
    Err(Failure::usage(
        "checksums are printed on standard output, which is already in use",
        "write the body and the headers to files",
    ))
}

fn plan(len: Option<u64>, part_size: u64, dialect: Dialect) -> Result<PartPlan, Failure> {
    let len = len.ok_or_else(|| {
        Failure::usage(
            "a part size requires a file of known size",
            "encrypt from a regular file, or omit --part-size",
        )
    })?;
    if !dialect.has_layout() {
        warn(format_args!("{dialect} has no headers for part sizes; none are written"));
    }
    PartPlan::new(len, part_size, dialect)
        .map_err(|error| Failure::usage(error, "choose another --part-size"))
}

fn plain_md5(path: &Path, input: &mut Input) -> Result<[u8; 16], Failure> {
    if input.len().is_none() {
        return Err(Failure::usage(
            "the MD5 must be computed before the file is encrypted",
            "encrypt from a regular file",
        ));
    }
    let digest = md5(&mut *input, path)?;
    input.rewind().map_err(|error| Failure::io(path, &error))?;
    Ok(digest)
}

/// A plaintext that is checked while it is read.
struct Checked<R> {
    inner: R,
    check: Option<PlainCheck>,
}

impl<R> Checked<R> {
    /// Creates a reader that checks the plaintext against what the envelope states about it.
    fn new(inner: R, envelope: &Envelope) -> Self {
        Self { inner, check: Some(PlainCheck::new(envelope)) }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(check) = &mut self.check {
            check.update(buffer.get(..read).unwrap_or_default());
        }
        if read == 0 && !buffer.is_empty() {
            self.check
                .take()
                .map_or(Ok(()), PlainCheck::finish)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Ok(read)
    }
}

/// Maps an integrity error to a changed file: during encryption, only the plaintext is checked.
fn changed(failure: Failure) -> Failure {
    if failure.code() == Code::Integrity { Failure::changed() } else { failure }
}

impl Wrapping {
    pub(crate) fn description(&self, dialect: Dialect) -> Result<MaterialDescription, Failure> {
        if !self.matdesc.is_empty() && !dialect.has_description() {
            return Err(Failure::usage(
                format_args!("{dialect} has no header for a material description"),
                "omit --matdesc, or choose another --dialect",
            ));
        }
        MaterialDescription::new(self.matdesc.iter().cloned()).map_err(|error| {
            Failure::usage(error, "use each --matdesc name only once, and short values")
        })
    }

    pub(crate) fn encryptor(&self, key: &MasterKey, dialect: Dialect) -> Encryptor {
        let mut encryptor = Encryptor::new(&key.wrapper(), dialect);
        if let Some(wrap) = self.wrap {
            encryptor = encryptor.with_wrap_algorithm(wrap);
        }
        if self.key_check {
            encryptor = encryptor.with_key_check();
        }
        if self.allow_weak_wrap {
            if dialect == Dialect::COS_V1 && matches!(key, MasterKey::Aes(_)) {
                warn(
                    "the AES wrap of cos-v1 uses one keystream for all objects of a master key; \
                     anyone who learns one content key can decrypt them all",
                );
            }
            encryptor = encryptor.allow_weak_wrap();
        }
        encryptor
    }
}
