//! `envelope put`: encrypts and uploads a file.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use envelope_core::{Crc64, Decryptor, Policy};
use envelope_store::{Address, Place, TransferError};
use meta_codec::{Dialect, Vendor};
use serde_json::json;
use tokio::sync::watch;

use crate::{
    args::{Content, Put},
    cleanup,
    failure::{Failure, Status},
    input::{check_one_stdin, is_dash},
    key_file::{self, MasterKey},
    remote::{Teller, object, waiter},
};

/// Time limit for the orderly shutdown of an interrupted upload.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Put) -> Result<(), Failure> {
    let mut inputs = vec![args.plain.as_path()];
    inputs.extend(args.key.as_deref());
    inputs.extend(args.kms.kms_passphrase_file.as_deref());
    check_one_stdin(inputs, &args.passphrase)?;
    let to = target(args)?;
    let key = object(&to)?;
    let store = args.bucket.store(&to.place)?;
    let dialect = args.wrapping.dialect.unwrap_or(match store.vendor() {
        Some(Vendor::Cos) => Dialect::COS_V2,
        _ if args.content == Content::Gcm => Dialect::COS_V2,
        _ => Dialect::OSS_V2,
    });
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let style = args.style;
    let master = MasterKey::one(args.key.as_deref(), passphrase, args.kms.key()?, style, dialect)?
        .with_description(args.wrapping.description(dialect)?);
    let encryptor = args.wrapping.encryptor(&master, dialect);
    let paths: Vec<PathBuf> = args.key.iter().cloned().collect();
    let keyring = key_file::keyring(&paths, passphrase, args.kms.key()?)?;
    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());

    let stream = is_dash(&args.plain) || args.content == Content::Gcm;
    let io = |error: &std::io::Error| Failure::io(&args.plain, error);
    let file = if is_dash(&args.plain) {
        None
    } else {
        Some(std::fs::File::open(&args.plain).map_err(|error| io(&error))?)
    };
    let len = match &file {
        Some(file) => {
            let metadata = file.metadata().map_err(|error| io(&error))?;
            metadata.is_file().then_some(metadata.len())
        }
        None => None,
    };
    let state = if stream || len.is_none() || args.no_resume { None } else { state(args, &to)? };

    let (stop, stopped) = watch::channel(false);
    let mut impatient = stopped.clone();
    cleanup::on_interrupt(move || {
        let _ = stop.send(true);
    });
    let teller = Teller::new(len, args.json);
    let told = teller.clone();
    let mut put = envelope_store::Put::new(store.as_ref(), key)
        .header("content-type", &args.content_type)
        .threshold(args.threshold)
        .in_flight(args.parallel.into())
        .stop_when(stopped)
        .on_event(move |event| told.tell(event));
    if let Some(part_size) = args.part_size {
        put = put.part_size(part_size);
    }
    if args.only_new {
        put = put.only_new();
    }
    if let Some(state) = &state {
        put = put.journal(state);
    }
    let waiter = waiter()?;
    let work = async {
        match file {
            Some(_) if !stream && len.is_some() => {
                put.file(&args.plain, &encryptor, Some(&decryptor)).await
            }
            Some(file) => {
                let file = tokio::fs::File::from_std(file);
                if stream && args.content == Content::Gcm {
                    put.stream_gcm(file, len, &encryptor).await
                } else {
                    put.stream(file, len, &encryptor).await
                }
            }
            None if args.content == Content::Gcm => {
                put.stream_gcm(tokio::io::stdin(), None, &encryptor).await
            }
            None => put.stream(tokio::io::stdin(), None, &encryptor).await,
        }
    };
    let outcome = waiter.wait(async {
        let patience = async {
            let _ = impatient.wait_for(|stop| *stop).await;
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            outcome = work => Some(outcome),
            () = patience => None,
        }
    });
    teller.finish();
    let outcome = outcome.ok_or_else(|| {
        Failure::new(
            Status::Io,
            "interrupted, and the store does not respond",
            "an upload may be left open; run the same command again to resume it or start over",
        )
    })?;
    let resumable = state.is_some();
    let outcome = outcome.map_err(|error| failure(error, args, resumable))?;
    if args.json {
        let line = json!({ "object": to.to_string(), "bytes": outcome.len, "etag": outcome.etag,
            "crc64": outcome.crc64.to_string(), "parts": outcome.parts });
        println!("{line}");
    }
    Ok(())
}

fn failure(error: TransferError, args: &Put, resumable: bool) -> Failure {
    let resumable = resumable && error.is_resumable();
    match error {
        TransferError::Io(error) => Failure::io(&args.plain, &error),
        TransferError::Stopped if resumable => Failure::new(
            Status::Io,
            "interrupted; the upload was left open",
            "run the same command again to resume it",
        ),
        TransferError::Stopped => Failure::new(
            Status::Io,
            "interrupted; the upload was aborted",
            "none of it remains in the store",
        ),
        error if resumable => Failure::new(
            Status::Io,
            error,
            "run the same command again; completed parts are not sent again",
        ),
        error => error.into(),
    }
}

/// Returns the address of the object. A key that ends with a slash is a folder for the file.
fn target(args: &Put) -> Result<Address, Failure> {
    let mut to = args.to.clone();
    if (to.key.is_empty() || to.key.ends_with('/')) && !is_dash(&args.plain) {
        let name = args.plain.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Failure::usage("the file's name is not UTF-8 text", "specify the object's key")
        })?;
        to.key.push_str(name);
    }
    Ok(to)
}

/// Returns the path of the journal for uploading this file to this object.
fn state(args: &Put, to: &Address) -> Result<Option<PathBuf>, Failure> {
    let folder = match &args.state {
        Some(folder) => Some(folder.clone()),
        None => {
            let home = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
            let own = || Some(Path::new(&env::var_os("HOME")?).join(".local/state"));
            home.or_else(own).map(|home| home.join("envelope"))
        }
    };
    let Some(folder) = folder else { return Ok(None) };
    let path =
        std::fs::canonicalize(&args.plain).map_err(|error| Failure::io(&args.plain, &error))?;
    let mut to = to.clone();
    if let Place::Folder(folder) = &to.place {
        to.place = Place::Folder(std::path::absolute(folder).unwrap_or_else(|_| folder.clone()));
    }
    let name = format!("{path:?} {to} {:?}", args.bucket.endpoint);
    Ok(Some(folder.join(format!("put-{:016x}.json", Crc64::of(name.as_bytes())))))
}
