//! `envelope decrypt`: recovers a file from a body and its headers.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use envelope_core::{
    ByteRange, ContentCipher, CtrCipher, Decryptor, PlainCheck, check_body_len,
    io::{DecryptReader, FilePass, FirstRead},
};
use meta_codec::Envelope;
use zeroize::Zeroizing;

use crate::{
    args::Decrypt,
    checksum::Checksums,
    copy,
    failure::{Code, Failure, warn},
    header_file,
    input::{Input, check_one_stdin},
    key_file,
    output::{MAX_HELD_BACK, Output, Secrecy},
    progress,
    weakness::{warn_before_reading, warn_of_short_key},
};

pub(crate) fn run(args: &Decrypt) -> Result<(), Failure> {
    check_one_stdin(inputs(args), &args.passphrase)?;
    let envelope = header_file::read(&args.metadata, args.instruction.as_deref())?;
    let policy = args.sealed.required_by(args.accept.policy(), args.verify_first);
    match args.range {
        Some(_) => policy.admit_range(envelope.as_ref()),
        None => policy.admit(envelope.as_ref()),
    }?;
    let Some(envelope) = envelope else { return plaintext(args) };
    if args.key.is_empty() && args.kms.kms.is_none() {
        return Err(Failure::usage("no key is given", "supply the master key with --key or --kms"));
    }
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let keyring =
        key_file::keyring(&args.key, passphrase, args.kms.key()?, key_file::Purpose::Unwrap)?;
    let decryptor = Decryptor::new(&keyring).with_policy(policy);
    let decryptor = args.sealed.known_to(decryptor)?;
    if let Some(wanted) = args.range {
        let cipher = decryptor.decrypt_range(&envelope)?;
        warn_before_reading(&envelope);
        warn_of_short_key(cipher.key_bits());
        let input = Input::open(&args.cipher)?;
        check_len(args, &envelope, &input)?;
        let len = input.len().and_then(|len| envelope.content_algorithm().plain_len(len));
        return range(args, wanted, &cipher, input, len);
    }
    let cipher = decryptor.decrypt(&envelope)?;
    warn_before_reading(&envelope);
    warn_of_short_key(cipher.key_bits());
    let input = Input::open(&args.cipher)?;
    check_len(args, &envelope, &input)?;
    match cipher {
        ContentCipher::Cbc(cbc) if args.salvage => {
            let salvage = cbc.salvage(envelope.plain_len());
            let reader = DecryptReader::new(input, ContentCipher::Cbc(salvage));
            let mut output = output(args)?;
            let saved = copy(args, reader, &mut output, envelope.plain_len())?;
            output.commit()?;
            report_salvage(saved, envelope.plain_len());
            Ok(())
        }
        cipher if args.verify_first => verified(args, &envelope, &decryptor, cipher, input),
        cipher => whole(args, &envelope, cipher, input),
    }
}

/// Rejects a body of the wrong length before anything is written, if its length is known.
fn check_len(args: &Decrypt, envelope: &Envelope, input: &Input) -> Result<(), Failure> {
    match input.len() {
        Some(len) if !args.salvage => Ok(check_body_len(envelope, len)?),
        _ => Ok(()),
    }
}

fn inputs(args: &Decrypt) -> Vec<&Path> {
    let mut inputs = vec![args.cipher.as_path(), args.metadata.as_path()];
    inputs.extend(args.key.iter().map(PathBuf::as_path));
    inputs.extend(args.instruction.as_deref());
    inputs.extend(args.kms.kms_passphrase_file.as_deref());
    inputs.extend(args.sealed.origin.path());
    inputs
}

fn output(args: &Decrypt) -> Result<Output, Failure> {
    let mut inputs = inputs(args);
    inputs.extend(args.passphrase.path());
    Output::create(&args.output, Secrecy::Secret, args.force, &inputs)
}

/// Decrypts the whole object, with every check that its metadata and its algorithm allow.
fn whole(
    args: &Decrypt,
    envelope: &Envelope,
    cipher: ContentCipher,
    input: Input,
) -> Result<(), Failure> {
    let mut output = output(args)?;
    let authenticated = envelope.content_algorithm().is_authenticated();
    if authenticated && !args.delayed && !output.is_held_back() {
        let plain = buffered(&args.cipher, envelope, cipher, input)?;
        output.write_all(&plain).map_err(|error| Failure::io(output.path(), &error))?;
        return output.commit();
    }
    // The length is already checked, but an MD5 must be computed in order.
    let in_any_order = envelope.plain_md5().is_none() && !args.salvage;
    if let (ContentCipher::Ctr(cipher), Input::File(from), Some(len)) =
        (&cipher, &input, input.len())
        && in_any_order
        && parallel(args, cipher, from, 0..len, true, &output)?
    {
        return output.commit();
    }
    let expected = envelope.plain_len().or(input.len());
    let reader = DecryptReader::new(input, cipher).with_check(PlainCheck::new(envelope));
    copy(args, reader, &mut output, expected)?;
    output.commit()
}

/// Decrypts the whole object twice, so that nothing is written before all of it was verified.
fn verified(
    args: &Decrypt,
    envelope: &Envelope,
    decryptor: &Decryptor,
    cipher: ContentCipher,
    input: Input,
) -> Result<(), Failure> {
    let (Some(_), Input::File(mut file)) = (input.len(), input) else {
        return Err(Failure::usage(
            "a pipe cannot be read twice",
            "save the body to a file first, or decrypt to a file",
        ));
    };
    let failed = |error: io::Error| Failure::stream(&args.cipher, &error);
    let mut first = FirstRead::new().map_err(|error| Failure::new(Code::Io, error, "retry"))?;
    let noting = Noting { body: &file, first: &mut first };
    let mut reader = DecryptReader::new(noting, cipher).with_check(PlainCheck::new(envelope));
    io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
    drop(reader);
    file.rewind().map_err(failed)?;
    let reader = DecryptReader::new(first.finish().second(file), decryptor.decrypt(envelope)?);
    let mut output = output(args)?;
    copy(args, reader, &mut output, envelope.plain_len())?;
    output.commit()
}

/// A reader that notes what passes through it.
struct Noting<'a> {
    body: &'a File,
    first: &'a mut FirstRead,
}

impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.first.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Decrypts bytes of a file into another on several cores. Returns `false` if the output does not
/// permit that.
fn parallel(
    args: &Decrypt,
    cipher: &CtrCipher,
    from: &File,
    bytes: Range<u64>,
    to_the_end: bool,
    output: &Output,
) -> Result<bool, Failure> {
    let Some(to) = output.file() else { return Ok(false) };
    let bar = progress::bar(Some(bytes.end.saturating_sub(bytes.start)));
    FilePass::new(cipher, from, bytes, to)
        .with_threads(args.cores.threads())
        .with_end(to_the_end)
        .run(|bytes| bar.inc(bytes))
        .map_err(|error| Failure::pass(error, &args.cipher, output.path()))?;
    bar.finish_and_clear();
    Ok(true)
}

fn copy(
    args: &Decrypt,
    from: impl Read + Send + 'static,
    output: &mut Output,
    expected: Option<u64>,
) -> Result<u64, Failure> {
    copy::copy(from, &args.cipher, output, expected, &mut Checksums::default())
}

/// Decrypts in memory, so that no byte is released before the tag is verified.
fn buffered(
    path: &Path,
    envelope: &Envelope,
    cipher: ContentCipher,
    input: Input,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let most = envelope.content_algorithm().body_len(MAX_HELD_BACK).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    input
        .take(most.saturating_add(1))
        .read_to_end(&mut body)
        .map_err(|error| Failure::io(path, &error))?;
    if body.len() as u64 > most {
        return Err(Failure::usage(
            "the object is too large to hold back until its authentication tag is verified",
            "decrypt to a file, or use --verify-first, which reads it twice",
        ));
    }
    let plain = Zeroizing::new(cipher.decrypt(body)?);
    let mut check = PlainCheck::new(envelope);
    check.update(&plain);
    check.finish()?;
    Ok(plain)
}

/// Decrypts a range of an object, with no check other than that of the range itself.
fn range(
    args: &Decrypt,
    range: ByteRange,
    cipher: &CtrCipher,
    input: Input,
    len: Option<u64>,
) -> Result<(), Failure> {
    let (file, wanted) = slice(range, input, len)?;
    let mut output = output(args)?;
    if parallel(args, cipher, &file, wanted.clone(), false, &output)? {
        return output.commit();
    }
    let reader = DecryptReader::new(bytes(args, file, &wanted)?, cipher.at(wanted.start));
    copy_range(args, reader, &wanted, &mut output)?;
    output.commit()
}

/// Resolves a range to the file and its bytes.
fn slice(range: ByteRange, input: Input, len: Option<u64>) -> Result<(File, Range<u64>), Failure> {
    let (Input::File(file), Some(len)) = (input, len) else {
        return Err(Failure::usage(
            "a range requires a seekable file",
            "save the body to a file first",
        ));
    };
    let wanted = range
        .resolve(len)
        .map_err(|error| Failure::usage(error, "choose a range that lies within the object"))?;
    Ok((file, wanted))
}

/// Returns the stored bytes of a range as a stream.
fn bytes(args: &Decrypt, mut file: File, wanted: &Range<u64>) -> Result<io::Take<File>, Failure> {
    file.seek(SeekFrom::Start(wanted.start)).map_err(|error| Failure::io(&args.cipher, &error))?;
    Ok(file.take(wanted.end.saturating_sub(wanted.start)))
}

fn copy_range(
    args: &Decrypt,
    from: impl Read + Send + 'static,
    wanted: &Range<u64>,
    output: &mut Output,
) -> Result<(), Failure> {
    let len = wanted.end.saturating_sub(wanted.start);
    if copy(args, from, output, Some(len))? == len {
        Ok(())
    } else {
        Err(Failure::io(&args.cipher, &io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Copies an object without encryption metadata, which the policy has admitted.
fn plaintext(args: &Decrypt) -> Result<(), Failure> {
    let input = Input::open(&args.cipher)?;
    let len = input.len();
    if let Some(range) = args.range {
        let (file, wanted) = slice(range, input, len)?;
        let mut output = output(args)?;
        copy_range(args, bytes(args, file, &wanted)?, &wanted, &mut output)?;
        return output.commit();
    }
    let mut output = output(args)?;
    copy(args, input, &mut output, len)?;
    output.commit()
}

fn report_salvage(saved: u64, plain_len: Option<u64>) {
    match plain_len {
        Some(len) if saved < len => warn(format_args!(
            "salvaged {saved} of {len} bytes; the last {} are lost",
            len.saturating_sub(saved)
        )),
        Some(_) => {}
        None => warn(format_args!(
            "salvaged {saved} bytes; up to 15 more may be lost, as the metadata gives no length"
        )),
    }
}
