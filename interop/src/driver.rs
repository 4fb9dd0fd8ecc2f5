//! Drivers: programs that write and read with an SDK. `interop/README.md` has the protocol.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use crate::outcome::Outcome;

/// The time that an SDK may take to answer one request.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 120;

/// A driver, and the SDK that it was built with; or why it was not built.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Build {
    /// The name of the SDK and its pinned version.
    pub(crate) sdk: String,
    pub(crate) version: String,
    /// `oss` or `cos`.
    pub(crate) vendor: String,
    /// The program and its arguments.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// Why the driver could not be built.
    pub(crate) skipped: Option<String>,
}

impl Build {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.sdk, self.version)
    }
}

/// A driver that runs.
pub(crate) struct Driver {
    build: Build,
    process: Option<Process>,
}

struct Process {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Driver {
    pub(crate) const fn new(build: Build) -> Self {
        Self { build, process: None }
    }

    /// Sends a request and waits for its outcome. A driver that ends or hangs is started anew for
    /// the next request.
    pub(crate) fn ask(&mut self, request: &Value) -> Result<Outcome, String> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.start()?,
        };
        let sent = writeln!(process.requests, "{request}").and_then(|()| process.requests.flush());
        if sent.is_err() {
            return Ok(Outcome::Refuses("the process ends".to_owned()));
        }
        let Ok(line) = process.answers.recv_timeout(PATIENCE) else {
            let ended = matches!(process.child.try_wait(), Ok(Some(_)));
            let what = if ended { "the process ends" } else { "no answer within 60 s" };
            return Ok(Outcome::Refuses(what.to_owned()));
        };
        self.process = Some(process);
        let answer: Value = serde_json::from_str(&line)
            .map_err(|error| format!("{}: {error} in {line}", self.build.name()))?;
        let key = request.get("key").and_then(Value::as_str).unwrap_or_default();
        let text = |name: &str| {
            answer.get(name).and_then(Value::as_str).map(|words| tidy(&words.replace(key, "KEY")))
        };
        if let Some(reason) = text("error") {
            return Ok(Outcome::Refuses(reason));
        }
        if let Some(reason) = text("unsupported") {
            return Ok(Outcome::Unsupported(reason));
        }
        Ok(Outcome::Works)
    }

    fn start(&self) -> Result<Process, String> {
        let name = self.build.name();
        let (program, arguments) =
            self.build.command.split_first().ok_or_else(|| format!("{name} has no command"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What SDKs log is of no interest, and a full pipe would block them.
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{name}: {program}: {error}"))?;
        let requests = child.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let process = Process { child, requests, answers };
        let greeting = process.answers.recv_timeout(PATIENCE);
        let greeting: Value = greeting
            .ok()
            .and_then(|line| serde_json::from_str(&line).ok())
            .ok_or_else(|| format!("{name}: the driver does not start"))?;
        let said = greeting.get("version").and_then(Value::as_str).unwrap_or_default();
        if said != self.build.version {
            return Err(format!("{name}: the driver runs with version `{said}`"));
        }
        Ok(process)
    }
}

/// Removes what differs from run to run in the words of an SDK: addresses, ports, paths, request
/// ids and other numbers.
fn tidy(words: &str) -> String {
    let mut tidy = String::new();
    for word in words.split_whitespace() {
        let is_address = word.contains("://") || word.contains("127.0.0.1");
        let is_path = word.matches('/').count() > 1 && word.contains("tmp");
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let word = if is_address || is_path || digits > 5 { "…" } else { word };
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
    }
    if tidy.chars().count() > LONGEST_REASON {
        tidy = tidy.chars().take(LONGEST_REASON).chain(['…']).collect();
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_same_in_every_run() {
        let words = "Get http://127.0.0.1:4000/b/k: /tmp/x/y failed,  RequestId: 64A1B2C3D4E5F6";
        assert_eq!(tidy(words), "Get … … failed, RequestId: …");
        assert_eq!(tidy("bytes 17-99 are wrong"), "bytes 17-99 are wrong");
        assert_eq!(tidy(&"ä".repeat(500)).chars().count(), LONGEST_REASON + 1);
    }
}
