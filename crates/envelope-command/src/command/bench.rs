//! `envelope bench`: measures the cipher on this machine, and its memory for comparison.

use std::{
    hint::black_box,
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use console::Term;
use envelope_core::{
    AesKeyWrapper, Crc64, Decryptor, EncryptError, Encryptor, Keyring, RsaKeyWrapper,
};
use meta_codec::Dialect;

use crate::{args::Bench, failure::Failure, output::print_line};

/// Duration of each measurement.
const WHILE: Duration = Duration::from_millis(300);

/// An operation on a buffer, of which each thread has its own.
type Work<'a> = &'a (dyn Fn(&mut [u8]) + Sync);

pub(crate) fn run(args: &Bench) -> Result<(), Failure> {
    // More threads than cores would measure the scheduler.
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = args.cores.threads().min(cores);
    let wrapper = AesKeyWrapper::generate().map_err(EncryptError::from)?;
    let cipher = Encryptor::new(&wrapper, Dialect::COS_V2).encrypt()?.into_cipher();
    print_line(&format_args!(
        "AES-256-CTR by {}; GB/s on one thread and on {threads}",
        cipher.backend()
    ))?;

    let short = |data: &mut [u8]| {
        data.chunks_mut(1024).for_each(|object| cipher.at(0).apply(object));
    };
    let long = |data: &mut [u8]| cipher.at(0).apply(data);
    let summed = |data: &mut [u8]| {
        let mut sum = Crc64::new();
        cipher.at(0).encrypt_summed(data, &mut sum);
        black_box(sum.value());
    };
    // The same memory traffic as encryption, with nothing to compute.
    let touch = |data: &mut [u8]| {
        let (words, _) = data.as_chunks_mut();
        words.iter_mut().for_each(|word| *word = (!u64::from_ne_bytes(*word)).to_ne_bytes());
    };
    let lines: [(&str, Work<'_>, usize); 5] = [
        ("encrypt, 1 KiB chunks", &short, 1 << 20),
        ("encrypt, 1 MiB", &long, 1 << 20),
        ("encrypt, 64 MiB", &long, 64 << 20),
        ("encrypt and CRC-64, 64 MiB", &summed, 64 << 20),
        ("read and write, 64 MiB", &touch, 64 << 20),
    ];
    let speeds = lines.map(|(what, work, len)| {
        (what, speed(NonZeroUsize::MIN, len, work), speed(threads, len, work))
    });
    let best = speeds.iter().flat_map(|(_, one, all)| [*one, *all]).fold(0.0, f64::max);
    for (what, one, all) in speeds {
        print_line(&format_args!("{what:<28}{one:>6.1}  {}", bar(one / best)))?;
        print_line(&format_args!("{:<28}{all:>6.1}  {}", "", bar(all / best)))?;
    }

    let rsa = RsaKeyWrapper::generate(2048).map_err(|error| {
        Failure::usage(error, "check that the operating system provides randomness")
    })?;
    let object = Encryptor::new(&rsa, Dialect::OSS_V2).encrypt()?;
    let keyring = Keyring::new().with(rsa);
    let opened = rate(|| drop(black_box(Decryptor::new(&keyring).decrypt(object.envelope()))));
    print_line(&format_args!(
        "\nobjects opened with RSA-2048 per second, on one thread: {opened:.0}"
    ))
}

/// Returns a bar for a share of the best speed. All bars fit into 80 columns.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 40")]
fn bar(share: f64) -> String {
    let full = if Term::stdout().is_term() { "█" } else { "#" };
    full.repeat((share * 40.0).round() as usize)
}

/// Returns the combined throughput of all threads, in gigabytes (10^9 bytes) per second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn speed(threads: NonZeroUsize, len: usize, work: Work<'_>) -> f64 {
    let pass = || {
        let mut data = vec![0; len];
        work(&mut data);
        rate(|| work(&mut data))
    };
    let passes: f64 = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, pass).ok();
        let others: Vec<_> = (1..threads.get()).filter_map(spawn).collect();
        let mine = pass();
        mine + others.into_iter().filter_map(|other| other.join().ok()).sum::<f64>()
    });
    passes * len as f64 / 1e9
}

/// Returns the number of runs of `work` per second.
fn rate(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut times = 0_u32;
    loop {
        work();
        times = times.saturating_add(1);
        let took = start.elapsed();
        if took >= WHILE {
            return f64::from(times) / took.as_secs_f64();
        }
    }
}
