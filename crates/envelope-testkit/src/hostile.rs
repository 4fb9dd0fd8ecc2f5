//! Hostile header sets: one file a set, with the exact reason for which it must be refused.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::folder;

/// A header set that must be refused.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostileCase {
    /// The file's name without its ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Names and values, repeated names included.
    pub headers: Vec<(String, String)>,
    /// What must be said.
    pub refused: String,
}

/// Every hostile header set, sorted by name.
#[must_use]
pub fn hostile_cases() -> Vec<HostileCase> {
    let files = fs::read_dir(folder("hostile")).expect("fixtures/hostile");
    let mut cases: Vec<_> = files.map(|file| read(file.expect("a file").path())).collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn read(path: PathBuf) -> HostileCase {
    let text = fs::read_to_string(&path).expect("a hostile case");
    let case: Value = serde_json::from_str(&text).expect("JSON");
    let text = |value: Option<&Value>| value.and_then(Value::as_str).expect("text").to_owned();
    let headers = case.get("headers").and_then(Value::as_array).expect("headers");
    HostileCase {
        name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
        headers: headers.iter().map(|pair| (text(pair.get(0)), text(pair.get(1)))).collect(),
        refused: text(case.get("refused")),
        path,
    }
}
