//! Hostile header sets: one file per set, with the exact error message expected for it.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::folder;

/// A header set that must be rejected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostileCase {
    /// The file name without its extension.
    pub name: String,
    /// The path of the file.
    pub path: PathBuf,
    /// Header names and values, including repeated names.
    pub headers: Vec<(String, String)>,
    /// The expected error message.
    pub refused: String,
}

/// Returns every hostile header set, sorted by name.
#[must_use]
pub fn hostile_cases() -> Vec<HostileCase> {
    let files = fs::read_dir(folder("hostile")).expect("fixtures/hostile should exist");
    let mut cases: Vec<_> = files.map(|file| read(file.expect("an entry").path())).collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn read(path: PathBuf) -> HostileCase {
    let text = fs::read_to_string(&path).expect("a readable hostile case");
    let case: Value = serde_json::from_str(&text).expect("valid JSON");
    let text = |value: Option<&Value>| value.and_then(Value::as_str).expect("text").to_owned();
    let headers = case.get("headers").and_then(Value::as_array).expect("headers");
    HostileCase {
        name: path.file_stem().expect("a file name").to_string_lossy().into_owned(),
        headers: headers.iter().map(|pair| (text(pair.get(0)), text(pair.get(1)))).collect(),
        refused: text(case.get("refused")),
        path,
    }
}
