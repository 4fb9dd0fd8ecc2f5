//! The log of what is sent and answered, on standard error and in a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, fmt::MakeWriter, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    args::Log,
    failure::{Failure, one_line},
    progress::say,
};

/// The start of the names of our own crates. What others log may have headers in it.
const OWN: &str = "envelope";

/// The target of what is on standard error anyway.
const SAID: &str = "envelope::said";

/// Notes in the file what is said on standard error.
pub(crate) fn said(words: &str) {
    tracing::info!(target: SAID, "{words}");
}

/// Starts the log, if one is asked for.
pub(crate) fn start(log: &Log) -> Result<(), Failure> {
    let own = || Targets::new().with_target(OWN, Level::DEBUG);
    let file = log.log_file.as_deref().map(open).transpose()?;
    let to_file = file.map(|file| {
        fmt::layer().with_ansi(false).with_writer(Lines::File(Arc::new(Mutex::new(file))))
    });
    let to_stderr = log
        .verbose
        .then(|| fmt::layer().with_ansi(false).without_time().with_writer(Lines::Stderr));
    if to_file.is_some() || to_stderr.is_some() {
        // It is the first, and the only one.
        let _ = tracing_subscriber::registry()
            .with(to_file.map(|layer| layer.with_filter(own())))
            .with(
                to_stderr.map(|layer| layer.with_filter(own().with_target(SAID, LevelFilter::OFF))),
            )
            .try_init();
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let file = options.open(path).map_err(|error| Failure::io(path, &error))?;
    check(&file, path).map_err(|error| Failure::io(path, &error))?;
    Ok(file)
}

/// Refuses a file that is no log of ours, or that others can read.
fn check(file: &File, path: &Path) -> io::Result<()> {
    let metadata = file.metadata()?;
    let refused = |words: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    if !metadata.is_file() {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode() & 0o077 != 0 {
            return refused("other users can read the log; chmod 600, or choose another file");
        }
    }
    // Whoever names another file by mistake does not want lines in it.
    let mut start = [0; 11];
    let mut reader = File::open(path)?.take(start.len() as u64);
    let is_empty = metadata.len() == 0;
    let is_time = |start: &[u8]| {
        start.iter().zip(b"dddd-dd-ddT").all(|(byte, want)| match want {
            b'd' => byte.is_ascii_digit(),
            want => byte == want,
        })
    };
    if is_empty || (reader.read_exact(&mut start).is_ok() && is_time(&start)) {
        return Ok(());
    }
    refused("the file is there, and is no log")
}

/// The destination of lines.
#[derive(Clone)]
enum Lines {
    File(Arc<Mutex<File>>),
    /// Beside the progress, and as JSON if that is JSON.
    Stderr,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    /// Writes an event, which is one line. What a server says in it cannot begin another one.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = one_line(text.trim());
        match self {
            Self::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                writeln!(file, "{line}")?;
            }
            Self::Stderr => say(&json!({ "log": line }), &line),
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
