//! `envelope get`, `cat` and `verify`: read objects from a bucket.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use envelope_core::{Decryptor, Policy};
use envelope_store::{Head, Opened, TransferError};
use futures_util::TryStreamExt as _;
use meta_codec::ContentAlgorithm;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::{
    args::{Cat, Get, Read, Verify},
    failure::{Failure, warn},
    input::{check_one_stdin, is_dash},
    remote::{Teller, object, waiter},
    words::warn_if_unverifiable,
};

/// Most bytes of an authenticated object that are held back until its tag is verified.
const HELD_BACK: u64 = 64 << 20;

pub(crate) fn run(args: &Get) -> Result<(), Failure> {
    if is_dash(&args.output) {
        return print(&args.from, &args.read);
    }
    check_keys(&args.read)?;
    let store = args.read.bucket.store(&args.from.place)?;
    let key = object(&args.from)?;
    let mut output = args.output.clone();
    if output.is_dir() {
        output.push(key.rsplit('/').next().unwrap_or(key));
    }
    let io = |error: &io::Error| Failure::io(&output, error);
    if output.symlink_metadata().is_ok() && !args.force {
        return Err(Failure::usage(
            format_args!("{} already exists", output.display()),
            "choose another name, or use --force to overwrite it",
        ));
    }
    let (part, journal) = (beside(&output, "part"), beside(&output, "state"));
    let keyring = args.read.keys.keyring()?;
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    let waiter = waiter()?;
    let total = waiter.wait(store.head(key))?.len;
    let teller = Teller::new(Some(total).filter(|_| args.read.range.is_none()), args.json);
    let told = teller.clone();
    let get = reader(&args.read, envelope_store::Get::new(store.as_ref(), key))
        .part_size(args.part_size)
        .in_flight(args.parallel.into())
        .on_event(move |event| told.tell(event));
    let outcome = waiter.wait(async {
        match args.read.range {
            Some(range) => {
                let opened = get.open_range(&decryptor, range).await?;
                let mut file = tokio::fs::File::from_std(envelope_store::create_private(&part)?);
                let (head, len) = write(opened, &mut file).await?;
                Ok((head, len))
            }
            None => {
                let head = get.to_file(&decryptor, &part, Some(&journal)).await?;
                Ok::<_, TransferError>((head, fs::metadata(&part)?.len()))
            }
        }
    });
    teller.finish();
    let (head, len) = match outcome {
        Ok(done) => done,
        Err(error) => {
            // Files that a later run can resume from are kept. A locked transfer belongs to another
            // process.
            let goes_on = error.is_resumable() && journal.exists();
            if !goes_on && !matches!(error, TransferError::Locked) {
                let _ = fs::remove_file(&part);
                let _ = fs::remove_file(&journal);
            }
            return Err(error.into());
        }
    };
    fs::File::open(&part).and_then(|file| file.sync_all()).map_err(|error| io(&error))?;
    if args.force {
        fs::rename(&part, &output).map_err(|error| io(&error))?;
    } else {
        // Unlike a rename, this does not overwrite a file created in the meantime.
        fs::hard_link(&part, &output).map_err(|error| io(&error))?;
        fs::remove_file(&part).map_err(|error| io(&error))?;
    }
    if args.json {
        println!("{}", json!({ "object": args.from.to_string(), "bytes": len, "etag": head.etag }));
    }
    Ok(())
}

pub(crate) fn cat(args: &Cat) -> Result<(), Failure> {
    print(&args.from, &args.read)
}

pub(crate) fn verify(args: &Verify) -> Result<(), Failure> {
    check_keys(&args.read)?;
    let store = args.read.bucket.store(&args.from.place)?;
    let key = object(&args.from)?;
    let keyring = args.read.keys.keyring()?;
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    let get = reader(&args.read, envelope_store::Get::new(store.as_ref(), key));
    let (opened, len, md5) = waiter()?.wait(async {
        let opened = get.open(&decryptor).await?;
        let head = opened.head.clone();
        let envelope = opened.envelope.clone();
        let (_, len) = write(opened, &mut tokio::io::sink()).await?;
        Ok::<_, TransferError>((
            (head, envelope.clone()),
            len,
            envelope.and_then(|it| it.plain_md5()),
        ))
    })?;
    let (head, envelope) = opened;
    let gcm =
        envelope.as_ref().is_some_and(|it| it.content_algorithm() == ContentAlgorithm::Aes256Gcm);
    let said = envelope.as_ref().is_some_and(|it| it.plain_len().is_some());
    let check = envelope.as_ref().is_some_and(|it| it.key_check().is_some());
    let checks: Vec<&str> = [
        ("length", said),
        ("store checksum", head.crc64.is_some()),
        ("key check", check),
        ("tag", gcm),
        ("md5", md5.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, done)| done.then_some(name))
    .collect();
    if args.json {
        println!("{}", json!({ "object": args.from.to_string(), "bytes": len, "checked": checks }));
    } else {
        println!("{}: {len} bytes, checked: {}", args.from, checks.join(", "));
    }
    if let Some(envelope) = &envelope {
        warn_if_unverifiable(envelope);
        if !gcm {
            warn("AES-CTR does not detect tampering by anyone who can write to the bucket");
        }
    }
    Ok(())
}

fn print(from: &envelope_store::Address, read: &Read) -> Result<(), Failure> {
    check_keys(read)?;
    let store = read.bucket.store(&from.place)?;
    let keyring = read.keys.keyring()?;
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    let get = reader(read, envelope_store::Get::new(store.as_ref(), object(from)?));
    let mut stdout = tokio::io::stdout();
    waiter()?.wait(async {
        let opened = match read.range {
            Some(range) => get.open_range(&decryptor, range).await?,
            None => get.open(&decryptor).await?,
        };
        let authenticated = opened
            .envelope
            .as_ref()
            .is_some_and(|it| it.content_algorithm() == ContentAlgorithm::Aes256Gcm);
        if authenticated && !read.delayed && read.range.is_none() {
            if opened.head.len > HELD_BACK.saturating_add(16) {
                return Err(Failure::usage(
                    "the object is too large to hold back until its authentication tag is verified",
                    "download it to a file, or use --delayed and check the exit status",
                ));
            }
            let plain = zeroize::Zeroizing::new(opened.read_to_end().await?);
            stdout.write_all(&plain).await.map_err(TransferError::from)?;
            stdout.flush().await.map_err(TransferError::from)?;
        } else {
            write(opened, &mut stdout).await?;
        }
        Ok(())
    })
}

async fn write(
    opened: Opened<'_>,
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> Result<(Head, u64), TransferError> {
    let (head, mut len) = (opened.head.clone(), 0_u64);
    let mut body = opened.into_stream();
    while let Some(chunk) = body.try_next().await? {
        len = len.saturating_add(chunk.len() as u64);
        to.write_all(&chunk).await?;
    }
    to.flush().await?;
    Ok((head, len))
}

fn reader<'a>(read: &Read, mut get: envelope_store::Get<'a>) -> envelope_store::Get<'a> {
    if read.allow_plaintext {
        get = get.allow_plaintext();
    }
    if read.unauthenticated_range {
        get = get.allow_unauthenticated_range();
    }
    get
}

fn check_keys(read: &Read) -> Result<(), Failure> {
    let keys = read.keys.key.iter().map(PathBuf::as_path);
    let kms = read.keys.kms.kms_passphrase_file.as_deref();
    check_one_stdin(keys.chain(kms), &read.keys.passphrase)
}

/// Returns the path of a working file next to the output of a download.
fn beside(output: &Path, what: &str) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.envelope-{what}"))
}
