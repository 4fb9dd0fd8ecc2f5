//! Uploads by the command to a bucket on this machine, sealed and not.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use envelope_core::RsaKeyWrapper;
use measure::contest::Spread;

use crate::report::{Goal, Report, figure};

const LEN: u64 = 1 << 30;
const ROUNDS: usize = 9;

/// The bucket, which ends with this.
struct Bucket {
    server: Child,
    url: String,
}

impl Bucket {
    fn start(program: &Path) -> Self {
        let mut command = Command::new(program);
        let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { server, url: url.trim().to_owned() }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}

/// Uploads 1 GiB in turn with a seal and without one.
pub fn run(report: &mut Report, envelope: &Path, bucket: &Path) {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a directory in /dev/shm");
    let (plain, key) = (folder.path().join("plain"), folder.path().join("key.pem"));
    let words: Vec<u8> = (0..LEN / 8)
        .flat_map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect();
    fs::write(&plain, words).unwrap();
    let pem = RsaKeyWrapper::generate(2048).unwrap().public_pem().unwrap();
    fs::write(&key, pem).unwrap();
    let mut rows = Vec::new();
    for vendor in ["cos", "oss"] {
        let (mut seconds, mut memory) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for round in 0..=ROUNDS {
            for turn in 0..2 {
                let sealed = (round + turn) % 2;
                // Anew each time, because it keeps every object in memory.
                let server = Bucket::start(bucket);
                let mut command = Command::new(envelope);
                command.arg("put").arg(&plain).arg(format!("{vendor}://b-1/object"));
                command.args(["--endpoint", &server.url, "--region", "r-1", "--no-resume"]);
                command.arg("--key").arg(&key);
                if sealed == 0 {
                    command.arg("--no-seal");
                }
                for (name, value) in ACCESS {
                    command.env(name, value);
                }
                let (took, most) = time(&mut command);
                if round > 0 {
                    seconds[sealed].push(took);
                    memory[sealed].push(most);
                }
            }
        }
        let ratio = |of: &[Vec<f64>; 2]| {
            Spread::of(of[1].iter().zip(&of[0]).map(|(sealed, plain)| plain / sealed))
        };
        let work = format!("put, 1 GiB to {vendor} on this machine, sealed");
        report.goal(work.clone(), "x unsealed", Goal::AtLeast(0.85), ratio(&seconds));
        report.goal(work, "x unsealed, resident memory", Goal::None, ratio(&memory));
        for (index, name) in ["not sealed", "sealed"].into_iter().enumerate() {
            let spread = Spread::of(seconds[index].iter().copied());
            let most = Spread::of(memory[index].iter().copied());
            rows.push(vec![
                vendor.to_owned(),
                name.to_owned(),
                format!("{:.2}", spread.median),
                figure(LEN as f64 / spread.median / 1e9),
                format!("{:.0}", most.median / 1e6),
            ]);
        }
    }
    let columns = ["store", "object", "seconds, median", "GB/s", "resident MB"];
    report.table("put, 1 GiB from memory to a bucket on this machine", &columns, &rows);
}

/// Returns the wall time of a program in seconds and its largest resident set in bytes.
fn time(command: &mut Command) -> (f64, f64) {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0.0_f64;
    loop {
        let ended = child.try_wait().unwrap();
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<f64>().ok());
        most = most.max(peak.unwrap_or_default() * 1024.0);
        if let Some(status) = ended {
            assert!(status.success(), "{command:?}: {status}");
            return (start.elapsed().as_secs_f64(), most);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The access key that the bucket of `envelope-testkit` knows.
const ACCESS: [(&str, &str); 4] = [
    ("OSS_ACCESS_KEY_ID", "LTAIloop"),
    ("OSS_ACCESS_KEY_SECRET", "SKloop"),
    ("TENCENTCLOUD_SECRET_ID", "LTAIloop"),
    ("TENCENTCLOUD_SECRET_KEY", "SKloop"),
];
