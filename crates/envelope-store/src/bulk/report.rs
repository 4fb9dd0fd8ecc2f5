//! The report on many objects, with which a later run goes on.

use std::{
    collections::HashMap,
    fmt,
    fs::{File, TryLockError},
    io::{self, BufRead as _, BufReader, Read as _, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Outcome,
    mark::{Mark, mark},
};

/// The longest line of a report that is read, in bytes. A key has at most 1023 bytes, and an error
/// repeats at most a page of an answer.
const MAX_LINE: u64 = 1 << 20;

/// The version of an object on which the work did not fail, and when that was, in seconds since
/// 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Done {
    version: Mark,
    at: i64,
}

/// A report: one line of JSON for each object, written when the work on it has ended.
///
/// A line before them says what the job is. A report that is [opened](Self::open) again by the same
/// job tells which objects are done, so that only the rest and the failures are worked on; their
/// lines are appended. What counts is the last line of an object. Several jobs may share a file. A
/// line that was cut off when a process was killed is removed.
pub struct Report {
    out: Option<Box<dyn Write + Send>>,
    done: HashMap<Mark, Done>,
    location: String,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("done", &self.done.len()).finish_non_exhaustive()
    }
}

impl Report {
    /// Creates a report that is not written.
    #[must_use]
    pub fn none() -> Self {
        Self { out: None, done: HashMap::new(), location: String::new() }
    }

    /// Creates a report that is written to a stream.
    #[must_use]
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self { out: Some(Box::new(out)), ..Self::none() }
    }

    /// Opens or creates a report in a file. `job` says what is done with which objects: all that
    /// makes the work on an object superfluous if it was done before.
    ///
    /// # Errors
    /// [`ReportError::Locked`] if another process writes it; [`ReportError::Io`].
    pub fn open(path: &Path, job: &Value) -> Result<Self, ReportError> {
        let fail = |source| ReportError::Io { path: path.to_owned(), source };
        let mut options = File::options();
        options.read(true).append(true).create(true);
        let mut file = options.open(path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ReportError::Locked(path.to_owned())),
            // Not every file can be locked: a pipe, a file on some network file systems.
            Err(TryLockError::Error(_)) => {}
        }
        let mut earlier = Earlier::default();
        if file.metadata().map_err(fail)?.is_file() {
            earlier.read(&file, job).map_err(fail)?;
            if earlier.is_cut {
                file.set_len(earlier.end).map_err(fail)?;
            } else if earlier.is_open {
                writeln!(file).map_err(fail)?;
            }
        }
        if !earlier.is_ours {
            writeln!(file, "{}", first_line(job)).map_err(fail)?;
        }
        Ok(Self { out: Some(Box::new(file)), done: earlier.done, location: String::new() })
    }

    /// Sets what stands before a key in the address of an object, such as `oss://bucket/`. Then
    /// each line has the address, too.
    #[must_use]
    pub fn with_location(mut self, location: impl Into<String>) -> Self {
        self.location = location.into();
        self
    }

    /// Returns whether it is written anywhere.
    #[must_use]
    pub const fn is_written(&self) -> bool {
        self.out.is_some()
    }

    /// Returns whether an earlier run has worked on this version of an object without failing, and
    /// the object was not written since: `modified` is when that was, as the store says.
    #[must_use]
    pub fn is_done(&self, key: &str, version: Option<&str>, modified: Option<SystemTime>) -> bool {
        if self.done.is_empty() {
            return false;
        }
        let Some(done) = self.done.get(&mark(key, None)) else { return false };
        let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
        done.version == mark("", version)
            && modified.is_none_or(|modified| modified.as_second() <= done.at)
    }

    pub(super) fn write(
        &mut self,
        key: &str,
        version: Option<&str>,
        outcome: &Outcome,
    ) -> io::Result<()> {
        // What an earlier line says is all there is to say.
        if outcome.status == Outcome::SAME && self.done.contains_key(&mark(key, None)) {
            return Ok(());
        }
        let Some(out) = &mut self.out else { return Ok(()) };
        let mut line = Map::new();
        if !self.location.is_empty() {
            line.insert("object".to_owned(), format!("{}{key}", self.location).into());
        }
        line.insert("key".to_owned(), key.into());
        line.insert("status".to_owned(), outcome.status.into());
        line.insert("at".to_owned(), format!("{:.0}", Timestamp::now()).into());
        if let Some(version) = version {
            line.insert("version".to_owned(), version.into());
        }
        if outcome.bytes > 0 {
            line.insert("bytes".to_owned(), outcome.bytes.into());
        }
        line.extend(outcome.details.clone());
        if outcome.again {
            line.insert("again".to_owned(), true.into());
        }
        if let Some(error) = &outcome.error {
            line.insert("error".to_owned(), error.as_str().into());
        }
        // One write for a line, so that a process that is killed leaves whole lines.
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// Returns the first line of a report, which says what the job is.
fn first_line(job: &Value) -> String {
    json!({ "job": job }).to_string()
}

/// What is in a report already.
#[derive(Debug, Default)]
struct Earlier {
    done: HashMap<Mark, Done>,
    /// Whether the last lines are those of this job.
    is_ours: bool,
    /// Where the last whole line ends.
    end: u64,
    /// Whether a line of ours was cut off there.
    is_cut: bool,
    /// Whether a line of somebody else has no end.
    is_open: bool,
}

impl Earlier {
    fn read(&mut self, file: &File, job: &Value) -> io::Result<()> {
        let (mut lines, mut line) = (BufReader::new(file), Vec::new());
        loop {
            line.clear();
            // A line is at most this long. A longer one is not ours, and read in pieces.
            lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(());
            }
            if !line.ends_with(b"\n") && (line.len() as u64) < MAX_LINE {
                let is_start = first_line(job).as_bytes().starts_with(&line);
                self.is_cut = self.is_ours || is_start;
                self.is_open = !self.is_cut;
                return Ok(());
            }
            self.end = self.end.saturating_add(line.len() as u64);
            self.is_open = !line.ends_with(b"\n");
            let Ok(value) = serde_json::from_slice::<Value>(&line) else { continue };
            if let Some(of) = value.get("job") {
                self.is_ours = of == job;
            } else if self.is_ours {
                self.note(&value);
            }
        }
    }

    fn note(&mut self, line: &Value) {
        let field = |name: &str| line.get(name).and_then(Value::as_str);
        let Some(key) = field("key") else { return };
        if field(Outcome::BUCKET).is_some() {
            // An inventory may name an object of another bucket that has the same key.
            return;
        }
        let at = field("at").and_then(|at| at.parse::<Timestamp>().ok());
        let at = at.map_or(i64::MIN, Timestamp::as_second);
        let is_open = line.get("error").is_some()
            || line.get("again").and_then(Value::as_bool).unwrap_or_default();
        if is_open {
            self.done.remove(&mark(key, None));
        } else {
            self.done.insert(mark(key, None), Done { version: mark("", field("version")), at });
        }
    }
}

/// A report that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process writes the report.
    #[error("{}: another process writes this report", .0.display())]
    Locked(PathBuf),
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    #[test]
    fn a_report_goes_on_wherever_it_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let job = json!({ "delete": "oss://b/a" });
        let mut report = Report::open(&path, &job).unwrap().with_location("oss://b/");
        assert!(matches!(Report::open(&path, &job), Err(ReportError::Locked(_))));
        report.write("a/1", None, &Outcome::new("deleted").with_bytes(3)).unwrap();
        report.write("a/2", None, &Outcome::refused("why")).unwrap();
        report.write("a/\n\"", Some("v"), &Outcome::new("deleted")).unwrap();
        drop(report);
        let whole = fs::read(&path).unwrap();
        let lines = whole.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, 4, "the job and three objects");
        let text = String::from_utf8_lossy(&whole);
        let fields = r#""bytes":3,"key":"a/1","object":"oss://b/a/1","status":"deleted"}"#;
        assert!(text.contains(fields), "{text}");
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut report = Report::open(&path, &job).unwrap();
            let is_done = |key: &str, end: usize| {
                assert_eq!(report.is_done(key, None, None), cut >= end, "{key} after {cut} bytes");
            };
            let end = |n: usize| {
                let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
                ends.map(|(at, _)| at + 1).nth(n).unwrap()
            };
            is_done("a/1", end(1));
            is_done("a/2", usize::MAX);
            assert_eq!(report.is_done("a/\n\"", Some("v"), None), cut == whole.len());
            assert!(
                !report.is_done("a/\n\"", None, None) && !report.is_done("a/\n\"", Some("w"), None)
            );
            // What follows is whole lines again.
            report.write("a/3", None, &Outcome::new("deleted")).unwrap();
            drop(report);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
            assert!(Report::open(&path, &job).unwrap().is_done("a/3", None, None));
        }
    }

    #[test]
    fn the_last_line_of_an_object_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let job = json!("a job");
        let mut report = Report::open(&path, &job).unwrap();
        report.write("1", None, &Outcome::refused("why")).unwrap();
        report.write("1", None, &Outcome::new("done")).unwrap();
        report.write("2", None, &Outcome::new("done")).unwrap();
        report.write("2", None, &Outcome::refused("why")).unwrap();
        drop(report);
        let report = Report::open(&path, &job).unwrap();
        assert!(report.is_done("1", None, None) && !report.is_done("2", None, None));
        drop(report);
        // An object that was written since is another one.
        let mut report = Report::open(&path, &job).unwrap();
        let now = SystemTime::now();
        let later = Some(now + Duration::from_secs(5));
        assert!(report.is_done("1", None, Some(now)) && !report.is_done("1", None, later));
        // And so is one that was replaced and came back.
        report.write("1", Some("v"), &Outcome::new("done")).unwrap();
        drop(report);
        let report = Report::open(&path, &job).unwrap();
        assert!(report.is_done("1", Some("v"), None) && !report.is_done("1", None, None));
    }

    /// In an inventory, objects of two buckets may have the same key.
    #[test]
    fn an_object_of_another_bucket_is_another_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let open = || Report::open(&path, &json!("a job")).unwrap().with_location("oss://b/");
        let mut report = open();
        let foreign = || Outcome::refused("why").with_detail(Outcome::BUCKET, "oss://other");
        report.write("1", None, &Outcome::new("done")).unwrap();
        report.write("1", None, &foreign()).unwrap();
        drop(report);
        assert!(open().is_done("1", None, None));
        let mut report = open();
        let done = Outcome::new("done").with_detail(Outcome::BUCKET, "oss://other");
        report.write("2", None, &done).unwrap();
        drop(report);
        assert!(!open().is_done("2", None, None));
    }

    #[test]
    fn what_is_still_the_same_has_no_second_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        for (n, status) in ["downloaded", Outcome::SAME, "downloaded"].into_iter().enumerate() {
            let mut report = Report::open(&path, &json!("a job")).unwrap();
            report.write("1", None, &Outcome::new(status)).unwrap();
            report.write(&format!("new {n}"), None, &Outcome::new(Outcome::SAME)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        let keys: Vec<Value> = text
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone())
            .collect();
        assert_eq!(keys, ["1", "new 0", "new 1", "1", "new 2"]);
    }

    #[test]
    fn jobs_and_other_texts_do_not_touch_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let (mine, theirs) = (json!({ "job": "mine" }).to_string(), json!("theirs"));
        let long = "x".repeat(3 << 20);
        for (other, end) in [
            ("my diary", "\n"),
            ("my diary\n", ""),
            ("{\"key\":\"a\",\"status\":\"done\"}\n", ""),
            ("{\"key\":\"a\"", "\n"),
            ("{\"job\":\"theirs\"}\n{\"key\":\"a\",\"status\":\"done\"}\n", ""),
            ("\n\n", ""),
            (&long, "\n"),
        ] {
            fs::write(&path, other).unwrap();
            let mut report = Report::open(&path, &json!("mine")).unwrap();
            assert!(!report.is_done("a", None, None), "{other:.80}");
            report.write("b", None, &Outcome::new("done")).unwrap();
            drop(report);
            let text = fs::read_to_string(&path).unwrap();
            let rest = text.strip_prefix(other).and_then(|rest| rest.strip_prefix(end)).unwrap();
            assert!(rest.starts_with(&mine) && rest.lines().count() == 2, "{rest:.80}");
            let report = Report::open(&path, &json!("mine")).unwrap();
            assert!(report.is_done("b", None, None) && !report.is_done("a", None, None));
            drop(report);
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing to add");
            assert!(!Report::open(&path, &theirs).unwrap().is_done("b", None, None));
            assert!(Report::open(&path, &json!("mine")).unwrap().is_done("b", None, None));
        }
        let missing = folder.path().join("no/report");
        assert!(matches!(Report::open(&missing, &theirs), Err(ReportError::Io { .. })));
    }
}
