//! `envelope encrypt`: a file becomes a body and its headers.

use std::{
    io::{self, Read},
    path::Path,
};

use envelope_core::{Encrypting, Encryptor, PartPlan, PlainCheck, io::EncryptReader};
use meta_codec::{Dialect, MaterialDescription};

use crate::{
    args::{Content, Encrypt, Wrapping},
    failure::{Failure, Status, warn},
    header_file,
    input::{Input, is_dash},
    key_file::MasterKey,
    output::{Output, Secrecy, remove},
    progress::pump,
};

pub(crate) fn run(args: &Encrypt) -> Result<(), Failure> {
    if is_dash(&args.output) && is_dash(&args.metadata_out) {
        return Err(Failure::usage(
            "the body and the headers cannot both go to standard output",
            "write the headers to a file",
        ));
    }
    if args.output == args.metadata_out {
        return Err(Failure::usage("the body and the headers are one file", "name two files"));
    }
    let dialect = args.wrapping.dialect.unwrap_or(Dialect::OSS_V2);
    let passphrase = args.passphrase.read()?;
    let key = MasterKey::read(&args.key, passphrase.as_ref().map(|bytes| &bytes[..]))?
        .with_description(args.wrapping.description(dialect)?);

    let input = Input::open(&args.plain)?;
    let len = input.len();
    let mut encryptor = args.wrapping.encryptor(&key, dialect);
    if let Some(len) = len {
        encryptor = encryptor.plain_len(len);
    }
    if let Some(part_size) = args.part_size {
        encryptor = encryptor.parts(plan(len, part_size, dialect)?);
    }
    let md5 = if args.leak_plaintext_md5 { Some(plain_md5(&args.plain)?) } else { None };
    if let Some(digest) = md5 {
        encryptor = encryptor.plain_md5(digest);
    }

    let inputs = [args.plain.as_path(), args.key.as_path()];
    let mut body = Output::create(&args.output, Secrecy::Public, args.force, &inputs)?;
    let mut metadata = Output::create(&args.metadata_out, Secrecy::Public, args.force, &inputs)?;

    let (envelope, encrypting): (_, Encrypting) = match args.content {
        Content::Ctr => encryptor.encrypt().map(|(envelope, cipher)| (envelope, cipher.into()))?,
        Content::Gcm => {
            encryptor.encrypt_gcm().map(|(envelope, cipher)| (envelope, cipher.into()))?
        }
    };
    let checked = Checked {
        inner: input,
        // What was said of the plaintext before it was read must still be so.
        check: Some(PlainCheck::new(&envelope)),
    };
    let reader = EncryptReader::new(checked, encrypting);
    pump(reader, &args.plain, &mut body, len).map_err(changed)?;

    let headers = envelope.emit(&dialect).map_err(envelope_core::EncryptError::from)?;
    header_file::write(&headers, &mut metadata)?;
    let held_back = body.is_held_back();
    body.commit()?;
    metadata.commit().inspect_err(|_| {
        // A body without its key is of no use to anyone.
        if held_back {
            remove(&args.output);
        }
    })
}

fn plan(len: Option<u64>, part_size: u64, dialect: Dialect) -> Result<PartPlan, Failure> {
    let len = len.ok_or_else(|| {
        Failure::usage(
            "a part size needs a file whose size is known",
            "encrypt from a regular file, or leave --part-size out",
        )
    })?;
    if !dialect.has_layout() {
        warn(format_args!("{dialect} has no headers for part sizes; none are written"));
    }
    PartPlan::new(len, part_size, dialect)
        .map_err(|error| Failure::usage(error, "choose another --part-size"))
}

fn plain_md5(path: &Path) -> Result<[u8; 16], Failure> {
    if is_dash(path) {
        return Err(Failure::usage(
            "the MD5 is needed before the file is encrypted",
            "encrypt from a regular file",
        ));
    }
    let mut digest = envelope_core::PlainDigest::new();
    let mut input = Input::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(digest.finish()),
            Ok(read) => digest.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::io(path, &error)),
        }
    }
}

/// A plaintext that is checked as it is read.
struct Checked<R> {
    inner: R,
    check: Option<PlainCheck>,
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

/// The only integrity error that can come while encrypting.
fn changed(failure: Failure) -> Failure {
    if failure.status() == Status::Integrity {
        return Failure::new(
            Status::Io,
            "the file changed while it was read",
            "encrypt it again when nobody writes to it; nothing was written",
        );
    }
    failure
}

impl Wrapping {
    pub(crate) fn description(&self, dialect: Dialect) -> Result<MaterialDescription, Failure> {
        if !self.matdesc.is_empty() && !dialect.has_description() {
            return Err(Failure::usage(
                format_args!("{dialect} has no header for a material description"),
                "leave --matdesc out, or choose another --dialect",
            ));
        }
        MaterialDescription::new(self.matdesc.iter().cloned()).map_err(|error| {
            Failure::usage(error, "give each --matdesc name once, and short values")
        })
    }

    pub(crate) fn encryptor<'a>(&self, key: &'a MasterKey, dialect: Dialect) -> Encryptor<'a> {
        let mut encryptor = Encryptor::new(key.wrapper(), dialect);
        if let Some(wrap) = self.wrap {
            encryptor = encryptor.wrap_with(wrap);
        }
        if self.key_check {
            encryptor = encryptor.key_check();
        }
        if self.allow_weak_wrap {
            if dialect == Dialect::COS_V1 && matches!(key, MasterKey::Aes(_)) {
                warn(
                    "the AES wrap of cos-v1 uses one keystream for all objects of a master key; \
                     whoever learns one content key can open them all",
                );
            }
            encryptor = encryptor.allow_weak_wrap();
        }
        encryptor
    }
}
