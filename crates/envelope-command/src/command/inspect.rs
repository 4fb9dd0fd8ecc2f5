//! `envelope inspect`: explains the metadata of an object and its weaknesses.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use console::Term;
use envelope_core::{Decryptor, PolicyError};
use envelope_store::{Address, envelope_of};
use meta_codec::{Envelope, IvForm, Reach, Reader};
use serde_json::json;

use crate::{
    args::Inspect,
    failure::Failure,
    header_file,
    input::{check_one_stdin, standard},
    key_file,
    protection::{Protection, seal_in_words},
    store,
    weakness::{warn_of_short_key, weaknesses},
};

pub(crate) fn run(args: &Inspect) -> Result<(), Failure> {
    let inputs = [Some(args.metadata.as_path()), args.instruction.as_deref()];
    let keys = args.key.iter().map(PathBuf::as_path);
    let inputs = inputs.into_iter().flatten().chain(keys).chain(args.sealed.origin.path());
    check_one_stdin(inputs, &args.passphrase)?;
    let read = match store::address(&args.metadata) {
        Some(from) => fetch(args, &from)?,
        None => header_file::read(&args.metadata, args.instruction.as_deref())?,
    };
    let policy = args.require.policy();
    policy.admit(read.as_ref())?;
    let envelope = read.ok_or(PolicyError::NotEncrypted)?;
    let verified = verify(args, &envelope)?;
    let text = if args.json { json(&envelope, verified) } else { words(&envelope, verified) };
    standard(io::stdout())
        .and_then(|mut stdout| stdout.write_all(text.as_bytes()))
        .map_err(|error| Failure::io("standard output".as_ref(), &error))
}

/// Fetches the envelope of an object in a store.
fn fetch(args: &Inspect, from: &Address) -> Result<Option<Envelope>, Failure> {
    let store = args.bucket.store_of(from, &args.version)?;
    let key = store::object(from)?;
    let outcome = store::runtime()?.block_on(async {
        let meta = store.head(key).await?;
        envelope_of(&*store, key, &meta).await
    });
    outcome.map_err(|error| store::explain(Failure::from(error).about(from), &*store, from))
}

/// Opens the envelope with the given keys, if any, which also verifies its seal and its key check.
/// Returns whether it was opened.
fn verify(args: &Inspect, envelope: &Envelope) -> Result<bool, Failure> {
    if args.key.is_empty() && args.kms.kms.is_none() {
        return Ok(false);
    }
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let keyring =
        key_file::keyring(&args.key, passphrase, args.kms.key()?, key_file::Purpose::Unwrap)?;
    let mut decryptor = Decryptor::new(&keyring).with_policy(args.require.policy());
    if let Some(address) = store::address(&args.metadata) {
        decryptor = decryptor.with_name(address.key);
    }
    let cipher = args.sealed.known_to(decryptor)?.decrypt(envelope)?;
    warn_of_short_key(cipher.key_bits());
    Ok(true)
}

const fn key_check(envelope: &Envelope, verified: bool) -> &'static str {
    match (envelope.key_check(), verified) {
        (None, _) => "absent",
        (Some(_), false) => "present, not verified (supply the master key with --key or --kms)",
        (Some(_), true) => "verified",
    }
}

fn iv_form(envelope: &Envelope) -> &'static str {
    match envelope.dialect().iv_form() {
        IvForm::Clear => "in the clear",
        IvForm::WrappedDecimal => "wrapped, as a decimal counter",
        _ => "wrapped",
    }
}

fn words(envelope: &Envelope, verified: bool) -> String {
    let dialect = envelope.dialect();
    let description = match envelope.description().text() {
        "" => "none".to_owned(),
        text => text.escape_debug().to_string().replace("\\\"", "\""),
    };
    let mut object = envelope
        .plain_len()
        .map_or("of unknown length".to_owned(), |len| format!("{len} bytes of plaintext"));
    if let Some(layout) = envelope.layout() {
        let count =
            layout.part_count().map_or("parts".to_owned(), |count| format!("{count} parts"));
        object.push_str(&format!(", in {count} of {} bytes", layout.part_size()));
    }
    let mut lines = vec![
        ("master key", master_key(envelope)),
        ("   |", envelope.wrap_algorithm().to_string()),
        ("content key", format!("{} bytes, wrapped", envelope.wrapped_key().len())),
        ("   |", envelope.content_algorithm().to_string()),
        ("object", object),
        ("", String::new()),
        ("dialect", format!("{dialect} ({})", dialect.writers())),
        ("iv", iv_form(envelope).to_owned()),
        ("description", description),
        ("plaintext md5", if envelope.plain_md5().is_some() { "present" } else { "absent" }.into()),
        ("key check", key_check(envelope, verified).to_owned()),
        ("seal", seal_in_words(envelope, verified)),
    ];
    for (index, words) in readers(envelope).into_iter().enumerate() {
        lines.push((if index == 0 { "read by" } else { "" }, words));
    }
    for (index, weakness) in weaknesses(envelope).into_iter().enumerate() {
        lines.push((if index == 0 { "weak" } else { "" }, weakness.words));
    }
    lines.into_iter().map(|(name, words)| entry(name, &words)).collect()
}

/// The width of the names.
const INDENT: usize = 15;

/// Returns a line with a name, which is broken only on a terminal.
fn entry(name: &str, words: &str) -> String {
    let first = format!("{name:<INDENT$}");
    let stdout = Term::stdout();
    let line = match stdout.is_term() {
        true => textwrap::fill(
            words,
            textwrap::Options::new(usize::from(stdout.size().1).max(2 * INDENT))
                .word_splitter(textwrap::WordSplitter::NoHyphenation)
                .initial_indent(&first)
                .subsequent_indent(&" ".repeat(INDENT)),
        ),
        false => first + words,
    };
    format!("{}\n", line.trim_end())
}

/// Describes the master key, as far as the metadata shows it.
fn master_key(envelope: &Envelope) -> String {
    let wrap = envelope.wrap_algorithm();
    if wrap.is_rsa() {
        return format!("RSA, {} bits", envelope.wrapped_key().len().saturating_mul(8));
    }
    if wrap.is_aes() { "AES" } else { "in a KMS" }.to_owned()
}

/// Describes the SDKs that read the object.
fn readers(envelope: &Envelope) -> Vec<String> {
    let describe = |(reader, reach): (Reader, Reach)| {
        let more = if reach == Reach::Whole { ", but no ranges" } else { "" };
        format!("{} {}{more}", reader.sdk(), reader.versions().join(", "))
    };
    let readers: Vec<String> = envelope.readers().map(describe).collect();
    if readers.is_empty() { vec!["envelope only".to_owned()] } else { readers }
}

fn json(envelope: &Envelope, verified: bool) -> String {
    let dialect = envelope.dialect();
    let check = match (envelope.key_check(), verified) {
        (None, _) => "absent",
        (Some(_), false) => "present",
        (Some(_), true) => "verified",
    };
    let value = json!({
        "dialect": dialect.id(),
        "writers": dialect.writers(),
        "content_algorithm": envelope.content_algorithm().to_string(),
        "wrap_algorithm": envelope.wrap_algorithm().id(),
        "wrapped_key_bytes": envelope.wrapped_key().len(),
        "iv": iv_form(envelope),
        "description": envelope.description().map(),
        "plain_length": envelope.plain_len(),
        "part_size": envelope.layout().map(|layout| layout.part_size()),
        "part_count": envelope.layout().and_then(|layout| layout.part_count()),
        "plain_md5": envelope.plain_md5().is_some(),
        "key_check": check,
        "protection": Protection::of(envelope).word(),
        "seal": envelope.seal().map(|seal| {
            let terms = seal.terms();
            json!({"body": seal.is_full(), "adopted": terms.adopted, "origin": terms.origin,
                "name_bound": terms.name_bound, "verified": verified})
        }),
        "readers": envelope
            .readers()
            .map(|(reader, reach)| {
                json!({"id": reader.id(), "sdk": reader.sdk(), "versions": reader.versions(),
                    "ranges": reach == Reach::Ranges})
            })
            .collect::<Vec<_>>(),
        "weaknesses": weaknesses(envelope)
            .into_iter()
            .map(|weakness| json!({"id": weakness.id, "words": weakness.words}))
            .collect::<Vec<_>>(),
    });
    ascii(&format!("{value:#}\n"))
}

/// Escapes JSON text to ASCII, so that it contains nothing that a terminal could interpret.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\x7f' {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}
