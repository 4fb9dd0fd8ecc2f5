//! Whole programs, file to file: the command compared with `cp`, `openssl enc` and `age`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use envelope_core::RsaKeyWrapper;
use measure::contest::Spread;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::report::{Goal, Report, figure};

const LEN: u64 = 512 << 20;
const ROUNDS: usize = 31;

/// Measures all programs, on both cores and on one. The files are in memory; otherwise the disk
/// would be measured.
pub fn run(report: &mut Report, envelope: &Path) {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
    let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let (plain, out, headers, public) =
        (path("plain"), path("out"), path("headers"), path("public.pem"));
    let words: Vec<u8> = (0..LEN / 8)
        .flat_map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect();
    fs::write(&plain, words).unwrap();
    let key = RsaKeyWrapper::generate(2048).unwrap();
    fs::write(&public, key.public_pem().unwrap()).unwrap();
    let secret = path("secret.pem");
    fs::write(&secret, key.private_pem(None).unwrap().as_bytes()).unwrap();
    let recipient = age_recipient(&path("age.key"));

    let envelope = envelope.to_str().unwrap();
    let encrypt = |more: &[&str]| {
        let mut line =
            vec![envelope, "encrypt", &plain, "--key", &public, "--metadata-out", &headers];
        line.extend(["--output", &out, "--force"]);
        line.extend(more);
        line.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let owned = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (hex, iv) = ("5a".repeat(32), "01".repeat(16));
    let openssl =
        ["openssl", "enc", "-aes-256-ctr", "-K", &hex, "-iv", &iv, "-in", &plain, "-out", &out];
    let decrypt = |sealed: bool| {
        let [body, metadata] = ["body", "metadata"].map(|it| path(&format!("{it}-{sealed}")));
        // Create the files that it reads.
        time(&encrypt(if sealed { &[] } else { &["--no-seal"] }), &out);
        fs::rename(&out, &body).unwrap();
        fs::rename(&headers, &metadata).unwrap();
        let line = [envelope, "decrypt", &body, "--metadata", &metadata, "--key", &secret];
        owned(&[&line[..], &["--output", &out, "--force"]].concat())
    };
    let (decrypt_sealed, decrypt) = (decrypt(true), decrypt(false));

    let mut rows = Vec::new();
    for (cores, threads) in [("both cores", "2"), ("one core", "1")] {
        affinity(if threads == "1" { &[1] } else { &[0, 1] });
        let mut programs = vec![
            ("cp", owned(&["cp", "--reflink=never", &plain, &out])),
            ("openssl enc", owned(&openssl)),
            ("encrypt --no-seal", encrypt(&["--threads", threads, "--no-seal"])),
            ("encrypt", encrypt(&["--threads", threads])),
            ("encrypt --checksum crc64", encrypt(&["--threads", threads, "--checksum", "crc64"])),
            ("decrypt, not sealed", [&decrypt[..], &owned(&["--threads", threads])].concat()),
            ("decrypt", [&decrypt_sealed[..], &owned(&["--threads", threads])].concat()),
        ];
        if let Some(recipient) = &recipient {
            programs.push(("age", owned(&["age", "-r", recipient, "-o", &out, &plain])));
        }
        let mut times = vec![Vec::new(); programs.len()];
        for round in 0..=ROUNDS {
            for turn in 0..programs.len() {
                let who = (round + turn) % programs.len();
                let took = time(&programs[who].1, &out);
                // The first round is a warm-up.
                if round > 0 {
                    times[who].push(took);
                }
            }
        }
        let who = |name: &str| programs.iter().position(|(each, _)| *each == name).unwrap();
        let ratio = |name: &str, peer: &str| {
            Spread::of(
                times[who(name)].iter().zip(&times[who(peer)]).map(|(ours, theirs)| ours / theirs),
            )
        };
        let (copy, openssl) = if threads == "1" { (1.25, 0.65) } else { (0.85, 0.45) };
        let work = |name: &str| format!("{name}, 512 MiB file, {cores}");
        let name = "encrypt --no-seal";
        report.goal(work(name), "x cp time", Goal::AtMost(copy), ratio(name, "cp"));
        report.goal(
            work(name),
            "x openssl time",
            Goal::AtMost(openssl),
            ratio(name, "openssl enc"),
        );
        let sealed = if threads == "1" { Goal::None } else { Goal::AtMost(1.6) };
        report.goal(work("encrypt"), "x cp time", sealed, ratio("encrypt", "cp"));
        for name in ["decrypt, not sealed", "decrypt", "encrypt --checksum crc64"] {
            report.goal(work(name), "x cp time", Goal::None, ratio(name, "cp"));
        }
        for (index, (name, _)) in programs.iter().enumerate() {
            let spread = Spread::of(times[index].iter().copied());
            let mut row = vec![cores.to_owned(), (*name).to_owned()];
            row.extend([spread.min, spread.median, spread.max].map(|time| format!("{time:.3}")));
            row.push(figure(LEN as f64 / spread.median / 1e9));
            rows.push(row);
        }
    }
    affinity(&[0, 1]);
    let columns = ["cores", "program", "seconds min", "median", "max", "GB/s"];
    report.table("512 MiB from file to file, in memory, whole programs", &columns, &rows);
}

/// Returns the wall time of a program in seconds. `out` is removed first.
fn time(line: &[String], out: &str) -> f64 {
    let _ = fs::remove_file(out);
    let start = Instant::now();
    let status = Command::new(&line[0])
        .args(&line[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("{}: {error}", line[0]));
    assert!(status.success(), "{line:?}: {status}");
    start.elapsed().as_secs_f64()
}

/// Binds this process and its children to these processors.
fn affinity(processors: &[usize]) {
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor);
    }
    sched_setaffinity(None, &set).expect("setting the affinity of this process");
}

/// Generates a key for `age` and returns its public half; `None` if `age` is not installed.
fn age_recipient(path: &str) -> Option<String> {
    Command::new("age-keygen").args(["-o", path]).stderr(Stdio::null()).status().ok()?;
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).map(str::to_owned)
}
