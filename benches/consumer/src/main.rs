//! Performance of a program that depends on `envelope-core` with its defaults: bytes per cycle of
//! the cipher, and private RSA operations per second. Prints one line per figure: its name and
//! value.

use envelope_core::{AesKeyWrapper, Decryptor, Encryptor, Keyring, RsaKeyWrapper};
use measure::{
    clock,
    contest::{Contender, contest},
};
use meta_codec::Dialect;

fn main() {
    clock::pin(1);
    let wrapper = AesKeyWrapper::generate().unwrap();
    let (_, cipher) = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt().unwrap().into_inner();
    for (name, len) in [("16-KiB", 16 << 10), ("1-MiB", 1 << 20), ("64-MiB", 64 << 20)] {
        let mut data = vec![0; len];
        let work = Contender::new("", || cipher.at(0).apply(&mut data));
        println!("{name} {}", contest(5, vec![work]).bytes_per_cycle("", len).median);
    }
    if std::env::args().any(|argument| argument == "rsa") {
        let rsa = RsaKeyWrapper::generate(2048).unwrap();
        let (envelope, _) = Encryptor::new(&rsa, Dialect::OSS_V2).encrypt().unwrap().into_inner();
        let keyring = Keyring::new().with(rsa);
        let open = || drop(Decryptor::new(&keyring).decrypt_ctr(&envelope).unwrap());
        // One private operation for the CEK, one for the IV.
        let took = contest(9, vec![Contender::new("", open)]).seconds("").median;
        println!("rsa-2048 {}", 2.0 / took);
    }
}
