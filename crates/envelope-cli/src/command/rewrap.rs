//! `envelope rewrap`: another master key or another dialect, the same body.

use crate::{
    args::Rewrap,
    failure::{Failure, Status, warn},
    header_file,
    key_file::{self, MasterKey},
    output::{Output, Secrecy},
};
use envelope_core::{Decryptor, Policy};

pub(crate) fn run(args: &Rewrap) -> Result<(), Failure> {
    let envelope =
        header_file::read(&args.metadata, args.instruction.as_deref())?.ok_or_else(|| {
            Failure::new(
                Status::Metadata,
                "the object is not encrypted, or its metadata was stripped",
                "there is no content key to wrap anew",
            )
        })?;
    let dialect = match args.wrapping.dialect {
        Some(dialect) => dialect,
        None if envelope.dialect().is_writable() => envelope.dialect(),
        None => {
            return Err(Failure::usage(
                format_args!("{} is read, but not written", envelope.dialect()),
                "choose another dialect with --dialect, such as cos-v2",
            ));
        }
    };
    let keyring = key_file::keyring(&args.key, &args.passphrase)?;
    let passphrase = args.passphrase.read()?;
    let new = MasterKey::read(&args.to_key, passphrase.as_ref().map(|bytes| &bytes[..]))?
        .with_description(args.wrapping.description(dialect)?);

    let decryptor = Decryptor::new(&keyring).with_policy(Policy::every_algorithm());
    let rewrapped = decryptor.rewrap(&envelope, &args.wrapping.encryptor(&new, dialect))?;
    let headers = rewrapped.emit(&dialect).map_err(envelope_core::EncryptError::from)?;

    let mut inputs = vec![args.metadata.as_path(), args.to_key.as_path()];
    inputs.extend(args.key.iter().map(std::path::PathBuf::as_path));
    let mut output = Output::create(&args.metadata_out, Secrecy::Public, args.force, &inputs)?;
    header_file::write(&headers, &mut output)?;
    output.commit()?;
    warn(
        "rewrapping does not lock the old master key out: whoever has it, and the old metadata or an \
         old version of the object, can still open it",
    );
    Ok(())
}
