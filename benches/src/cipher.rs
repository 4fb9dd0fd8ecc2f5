//! The cipher and its peers, for short to long buffers.

use std::{
    cell::RefCell,
    io::{self, Read, Write as _},
    sync::Barrier,
    thread,
};

use ctr_kernel::{Aes256Ctr, Backend};
use envelope_benches::peers::{self, COUNTER, KEY};
use envelope_core::{
    AesKeyWrapper, Crc64, CtrCipher, Encryptor,
    io::{DecryptReader, EncryptReader, EncryptWriter},
};
use measure::{
    clock::{pin, wall_time},
    contest::{Contender, Outcome, Spread, contest},
};
use meta_codec::Dialect;

use crate::{
    ROUNDS,
    report::{Goal, Report, figure},
};

const OURS: &str = "envelope";
const LENGTHS: [(&str, usize); 7] = [
    ("1 KiB", 1 << 10),
    ("4 KiB", 4 << 10),
    ("16 KiB", 16 << 10),
    ("256 KiB", 256 << 10),
    ("1 MiB", 1 << 20),
    ("64 MiB", 64 << 20),
    ("1 GiB", 1 << 30),
];

/// Gigabytes per second of each contender, by length.
pub type Bars = Vec<(&'static str, Vec<(&'static str, f64)>)>;

/// Returns a cipher as `encrypt` creates it, with a random IV.
pub fn cipher() -> CtrCipher {
    let wrapper = AesKeyWrapper::generate().unwrap();
    Encryptor::new(&wrapper, Dialect::COS_V2).encrypt().unwrap().into_cipher()
}

const fn rounds(len: usize) -> usize {
    if len >= 16 << 20 { 11 } else { ROUNDS }
}

/// Measures all contenders over one buffer.
fn apply_all(len: usize) -> Outcome {
    let data = RefCell::new(vec![0; len]);
    let over = |name, mut work: Box<dyn FnMut(&mut [u8])>| {
        let data = &data;
        Contender::new(name, move || work(&mut data.borrow_mut()))
    };
    let cipher = cipher();
    contest(
        rounds(len),
        vec![
            over(OURS, Box::new(move |data| cipher.at(0).apply(data))),
            over("libgcrypt", Box::new(peers::libgcrypt())),
            over("OpenSSL", Box::new(peers::openssl())),
            over("aws-lc-rs", Box::new(peers::aws_lc())),
            over("ctr 0.10", Box::new(peers::rust_crypto())),
        ],
    )
}

/// Measures every length against every peer.
pub fn run(report: &mut Report) -> Bars {
    peers::check(peers::libgcrypt());
    peers::check(peers::openssl());
    peers::check(peers::aws_lc());
    peers::check(peers::rust_crypto());
    let (mut bars, mut rows) = (Bars::new(), Vec::new());
    for (name, len) in LENGTHS {
        let outcome = apply_all(len);
        let work = format!("AES-256-CTR in place, {name}");
        let openssl = outcome.ratio(OURS, "OpenSSL");
        let (least, fastest) = match name {
            "1 KiB" => (Goal::AtLeast(1.75), Goal::None),
            "4 KiB" | "1 GiB" => (Goal::None, Goal::None),
            _ => (Goal::AtLeast(1.9), Goal::AtLeast(1.0)),
        };
        report.goal(&work, "x OpenSSL", least, openssl);
        report.goal(&work, "x libgcrypt", fastest, outcome.ratio(OURS, "libgcrypt"));
        if name == "1 MiB" {
            let cycles = outcome.bytes_per_cycle(OURS, len);
            report.goal(&work, "bytes per cycle, of 4.571", Goal::AtLeast(4.3), cycles);
        }
        for who in outcome.names() {
            let speed = outcome.gigabytes(who, len);
            let mut row = vec![name.to_owned(), who.to_owned()];
            row.extend([speed.min, speed.median, speed.max].map(figure));
            row.push(figure(outcome.ratio(who, "OpenSSL").median));
            row.push(figure(outcome.bytes_per_cycle(who, len).median));
            rows.push(row);
        }
        let names = outcome.names();
        bars.push((name, names.map(|who| (who, outcome.gigabytes(who, len).median)).collect()));
    }
    let columns = ["length", "cipher", "GB/s min", "median", "max", "x OpenSSL", "bytes per cycle"];
    report.table("AES-256-CTR in place, one thread", &columns, &rows);
    bars
}

/// Measures the paths for processors with fewer features than this one.
pub fn paths(report: &mut Report) {
    for (name, len) in
        LENGTHS.into_iter().filter(|(_, len)| [16 << 10, 1 << 20, 64 << 20].contains(len))
    {
        let data = RefCell::new(vec![0; len]);
        let data = &data;
        let mut openssl = peers::openssl();
        let mut all = vec![Contender::new("OpenSSL", move || openssl(&mut data.borrow_mut()))];
        for backend in Backend::ALL {
            if let Some(cipher) = Aes256Ctr::with_backend(&KEY, backend) {
                // An unaligned counter, because most IVs are unaligned.
                let work = move || cipher.apply(COUNTER, &mut data.borrow_mut());
                all.push(Contender::new(backend.name(), work));
            }
        }
        let outcome = contest(rounds(len), all);
        for (backend, goal) in [
            (Backend::Vaes256, Goal::AtLeast(1.75)),
            (Backend::AesNi, Goal::AtLeast(0.93)),
            (Backend::Portable, Goal::None),
        ] {
            if backend.is_available() {
                let ratio = outcome.ratio(backend.name(), "OpenSSL");
                report.goal(format!("only {backend}, {name}"), "x OpenSSL", goal, ratio);
            }
        }
    }
}

/// Measures two threads with a buffer each on two cores, in wall time because concurrency is the
/// point.
pub fn two_threads(report: &mut Report) {
    const PASSES: usize = 400;
    let pass = |processors: &[usize]| {
        let barrier = Barrier::new(processors.len());
        let times = thread::scope(|scope| {
            let threads: Vec<_> = processors
                .iter()
                .map(|processor| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        pin(*processor);
                        let (cipher, mut data) = (cipher(), vec![0; 1 << 20]);
                        cipher.at(0).apply(&mut data);
                        barrier.wait();
                        let start = wall_time();
                        for _ in 0..PASSES {
                            cipher.at(0).apply(&mut data);
                        }
                        (start, wall_time())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let start = times.iter().map(|(start, _)| *start).fold(f64::INFINITY, f64::min);
        times.iter().map(|(_, end)| *end).fold(0.0, f64::max) - start
    };
    let ratios: Vec<f64> = (0..21)
        .map(|round| {
            let one = pass(&[round % 2]);
            2.0 * one / pass(&[0, 1])
        })
        .collect();
    let got = Spread::of(ratios);
    report.goal("two threads, 1 MiB each, wall time", "x one thread", Goal::AtLeast(1.85), got);
}

/// A source without cost: it leaves the buffer unchanged.
struct Untouched(usize);

impl Read for Untouched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.0);
        self.0 -= len;
        Ok(len)
    }
}

/// Measures the `Read` and `Write` adapters with calls of 64 KiB.
pub fn streams(report: &mut Report) {
    const LEN: usize = 4 << 20;
    const CALL: usize = 64 << 10;
    let cipher = cipher();
    let data = RefCell::new(vec![0; CALL]);
    let (data, cipher) = (&data, &cipher);
    let outcome = contest(
        ROUNDS,
        vec![
            Contender::new("cipher", move || {
                let mut keystream = cipher.at(0);
                for _ in 0..LEN / CALL {
                    keystream.apply(&mut data.borrow_mut());
                }
            }),
            Contender::new("EncryptReader", move || {
                let mut reader = EncryptReader::new(Untouched(LEN), cipher.at(0));
                while reader.read(&mut data.borrow_mut()).unwrap() > 0 {}
            }),
            Contender::new("DecryptReader", move || {
                let mut reader = DecryptReader::new(Untouched(LEN), cipher.at(0));
                while reader.read(&mut data.borrow_mut()).unwrap() > 0 {}
            }),
            Contender::new("EncryptWriter", move || {
                let mut writer = EncryptWriter::new(io::sink(), cipher.at(0));
                for _ in 0..LEN / CALL {
                    writer.write_all(&data.borrow()).unwrap();
                }
                writer.finish().unwrap();
            }),
        ],
    );
    for who in ["EncryptReader", "DecryptReader", "EncryptWriter"] {
        let ratio = outcome.ratio(who, "cipher");
        report.goal(format!("{who}, 64 KiB calls"), "x the bare cipher", Goal::AtLeast(0.9), ratio);
    }
}

/// Measures encryption with the CRC-64 computed in the same pass.
pub fn checksum(report: &mut Report) {
    for (name, len) in LENGTHS.into_iter().filter(|(_, len)| [1 << 20, 64 << 20].contains(len)) {
        let (cipher, data) = (cipher(), RefCell::new(vec![0; len]));
        let (cipher, data) = (&cipher, &data);
        let outcome = contest(
            rounds(len),
            vec![
                Contender::new("alone", move || cipher.at(0).apply(&mut data.borrow_mut())),
                Contender::new("fused", move || {
                    let mut sum = Crc64::new();
                    cipher.at(0).encrypt_summed(&mut data.borrow_mut(), &mut sum);
                    std::hint::black_box(sum.value());
                }),
                Contender::new("two passes", move || {
                    let mut sum = Crc64::new();
                    cipher.at(0).apply(&mut data.borrow_mut());
                    sum.update(&data.borrow());
                    std::hint::black_box(sum.value());
                }),
            ],
        );
        let work = format!("encrypt and CRC-64, {name}");
        report.goal(&work, "x CTR alone", Goal::AtLeast(0.75), outcome.ratio("fused", "alone"));
        report.goal(&work, "x two passes", Goal::None, outcome.ratio("fused", "two passes"));
    }
}
