//! `envelope key`: looks at a key file.

use std::io::{self, Write as _};

use crate::{
    args::{Key, KeyCommand, KeyFile},
    failure::{Code, Failure},
    input::check_one_stdin,
    key_file::{MasterKey, Purpose},
    output::print_line,
};

pub(crate) fn run(args: &Key) -> Result<(), Failure> {
    match &args.command {
        KeyCommand::Show(file) => {
            let key = read(file)?;
            print_line(&format_args!("{}: {}", file.key.display(), key.summary()?))
        }
        KeyCommand::Public(file) => {
            let MasterKey::Rsa(rsa) = read(file)? else {
                let words = "an AES key has no public half";
                let advice = "keep it secret: whoever encrypts with it can decrypt, too";
                return Err(Failure::new(Code::Key, words, advice).about(&file.key.display()));
            };
            let pem = rsa.public_pem();
            let pem = pem.map_err(|error| Failure::new(Code::Key, error, "use another key"))?;
            let written = io::stdout().lock().write_all(pem.as_bytes());
            written.map_err(|error| Failure::io("standard output".as_ref(), &error))
        }
    }
}

fn read(file: &KeyFile) -> Result<MasterKey, Failure> {
    check_one_stdin([file.key.as_path()], &file.passphrase)?;
    let passphrase = file.passphrase.read()?;
    MasterKey::read(&file.key, passphrase.as_ref().map(|bytes| &bytes[..]), Purpose::Unwrap)
}
