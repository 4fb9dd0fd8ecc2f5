//! `envelope rewrap`: changes the master key or the dialect of an object, but not its body.

use std::path::PathBuf;

use envelope_core::{ContentCipher, Decryptor, PolicyError};

use crate::{
    args::Rewrap,
    command::rewrap_bulk,
    failure::{Failure, warn},
    header_file,
    input::check_one_stdin,
    key_file::{self, MasterKey},
    output::{Output, Secrecy},
    store,
    weakness::warn_before_reading,
};

pub(crate) fn run(args: &Rewrap) -> Result<(), Failure> {
    if let Some(to) = store::address(&args.metadata) {
        return rewrap_bulk::run(args, &to);
    }
    let Some(metadata_out) = &args.metadata_out else {
        return Err(Failure::usage(
            "the headers come from a file, but no output is given for the new ones",
            "use --metadata-out, or specify the object itself, such as oss://bucket/key",
        ));
    };
    if args.seal_body {
        return Err(Failure::usage(
            "--seal-body reads the body, and here are only headers",
            "specify the object itself, such as oss://bucket/key",
        ));
    }
    let mut inputs = vec![args.metadata.as_path()];
    inputs.extend(args.sealed.origin.path());
    inputs.extend(args.to_key.as_deref());
    inputs.extend(args.kms.kms_passphrase_file.as_deref());
    inputs.extend(args.to_kms.to_kms_passphrase_file.as_deref());
    inputs.extend(args.key.iter().map(PathBuf::as_path));
    inputs.extend(args.instruction.as_deref());
    check_one_stdin(inputs.iter().copied(), &args.passphrase)?;
    inputs.extend(args.passphrase.path());
    let envelope = header_file::read(&args.metadata, args.instruction.as_deref())?;
    let policy = args.require.policy();
    policy.admit(envelope.as_ref())?;
    let envelope = envelope.ok_or(PolicyError::NotEncrypted)?;
    let dialect = match args.wrapping.dialect {
        Some(dialect) => dialect,
        None if envelope.dialect().is_writable() => envelope.dialect(),
        None => {
            let default = envelope.dialect().vendor().default_dialect();
            return Err(Failure::usage(
                format_args!("{} can be read, but not written", envelope.dialect()),
                format!("choose another with --dialect, such as {default}"),
            ));
        }
    };
    let passphrase = args.passphrase.read()?;
    let passphrase = passphrase.as_ref().map(|bytes| &bytes[..]);
    let keyring =
        key_file::keyring(&args.key, passphrase, args.kms.key()?, key_file::Purpose::Wrap)?;
    warn_before_reading(&envelope);
    let new = MasterKey::one(
        args.to_key.as_deref(),
        passphrase,
        args.to_kms.key()?,
        args.style,
        dialect,
    )?
    .with_description(args.wrapping.description(dialect)?);

    let decryptor = Decryptor::new(&keyring).with_policy(policy);
    let decryptor = args.sealed.known_to(decryptor)?;
    let mut encryptor = args.wrapping.encryptor(&new, dialect);
    if args.no_seal {
        encryptor = encryptor.without_seal();
    }
    let rewrapped = decryptor.rewrap(&envelope, &encryptor)?;
    let headers = rewrapped.headers().to_vec();
    if let ContentCipher::Ctr(cipher) = rewrapped.into_cipher()
        && !cipher.suits_every_sdk()
    {
        warn(
            "the IV of this object makes some SDKs (OSS Java, C++, Go, PHP; COS Go) return wrong \
             bytes for ranges; they read the whole object correctly, and `envelope` reads both",
        );
    }

    let mut output = Output::create(metadata_out, Secrecy::Public, args.force, &inputs)?;
    header_file::write(&headers, &mut output)?;
    output.commit()?;
    store::warn_of_old_keys();
    Ok(())
}
