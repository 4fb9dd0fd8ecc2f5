//! What was found in all objects together, in memory that does not grow with their number.

use std::collections::BTreeMap;

use envelope_store::bulk::Outcome;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// The most objects in the table: of those that somebody should look at, and of the others.
const MOST_ROWS: usize = 2000;
/// The most values of one kind that are counted apart. Descriptions are chosen by the writers.
const MOST_VALUES: usize = 200;
/// What is counted as one of the values beyond these.
const OTHERS: &str = "others";

/// The groups of the charts: a name for people, and the field of a line that is counted.
pub(super) const GROUPS: [(&str, &str); 9] = [
    ("State", "status"),
    ("Protection", "protection"),
    ("Weakness", "weaknesses"),
    ("Opened by", "opened_by"),
    ("Description", "description"),
    ("Dialect", "dialect"),
    ("Wrap", "wrap"),
    ("Content", "content"),
    ("Age", "age"),
];

/// Sums, and some of the objects.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Objects that need attention.
    pub(super) noteworthy: u64,
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
    faults: Vec<Value>,
    others: Vec<Value>,
}

impl Findings {
    pub(super) fn add(&mut self, key: &str, outcome: &Outcome) {
        let mut line: Map<String, Value> = outcome.details.clone();
        line.insert("key".to_owned(), key.into());
        line.insert("status".to_owned(), outcome.status.into());
        if let Some(error) = &outcome.error {
            line.insert("error".to_owned(), error.as_str().into());
        }
        self.add_line(&Value::Object(line));
    }

    fn add_line(&mut self, line: &Value) {
        self.objects = self.objects.saturating_add(1);
        let stored = line.get("stored").and_then(Value::as_u64).unwrap_or_default();
        self.bytes = self.bytes.saturating_add(stored);
        let age = line.get("modified").and_then(Value::as_str).and_then(age);
        for (_, field) in GROUPS {
            match (field, line.get(field)) {
                ("age", _) => age.iter().for_each(|age| self.count("age", age)),
                (_, Some(Value::String(value))) => self.count(field, value),
                (_, Some(Value::Array(values))) => {
                    values.iter().filter_map(Value::as_str).for_each(|it| self.count(field, it));
                }
                _ => {}
            }
        }
        let is_good = is_good(line);
        self.noteworthy = self.noteworthy.saturating_add((!is_good).into());
        let rows = if is_good { &mut self.others } else { &mut self.faults };
        if rows.len() < MOST_ROWS {
            rows.push(line.clone());
        }
    }

    fn count(&mut self, field: &'static str, value: &str) {
        let counts = self.counts.entry(field).or_default();
        let is_known = counts.contains_key(value) || counts.len() < MOST_VALUES;
        let count = counts.entry(if is_known { value } else { OTHERS }.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// Returns the values of a group and how often each occurs, the most frequent first.
    pub(super) fn group(&self, field: &str) -> Vec<(&str, u64)> {
        let counts = self.counts.get(field).into_iter().flatten();
        let mut group: Vec<(&str, u64)> = counts.map(|(it, count)| (it.as_str(), *count)).collect();
        group.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        group
    }

    /// Returns the objects of the table: first those that need attention.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Value> {
        self.faults.iter().chain(&self.others)
    }
}

/// Returns whether an object needs no attention. Most objects have a weakness of the padding that
/// their SDK has chosen, which says nothing about one of them.
fn is_good(line: &Value) -> bool {
    const OF_PADDING: [&str; 2] = ["pkcs1v15", "padding-unstated"];
    let is_serious = |id: &Value| id.as_str().is_none_or(|id| !OF_PADDING.contains(&id));
    let found = line.get("weaknesses").and_then(Value::as_array);
    matches!(line.get("status").and_then(Value::as_str), Some("opens"))
        && found.is_none_or(|found| !found.iter().any(is_serious))
}

/// Returns how long ago something was written.
fn age(written: &str) -> Option<&'static str> {
    const DAY: i64 = 24 * 3600;
    let written: Timestamp = written.parse().ok()?;
    let seconds = Timestamp::now().as_second().saturating_sub(written.as_second());
    Some(match seconds.checked_div(DAY)? {
        ..30 => "less than 30 days",
        30..365 => "less than a year",
        365..1095 => "one to three years",
        _ => "three years or more",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn memory_does_not_grow_with_the_objects() {
        let mut findings = Findings::default();
        for n in 0..10_000 {
            findings.add_line(&json!({ "key": n.to_string(), "status": "opens", "stored": 2,
                "description": format!("{n}"), "weaknesses": [] }));
            findings.add_line(&json!({ "key": n.to_string(), "status": "locked",
                "weaknesses": ["a", "b"], "modified": "2000-01-01T00:00:00Z" }));
        }
        assert_eq!(
            (findings.objects, findings.bytes, findings.noteworthy),
            (20_000, 20_000, 10_000)
        );
        assert_eq!(findings.rows().count(), 2 * MOST_ROWS);
        assert_eq!(findings.rows().next().unwrap()["status"], "locked");
        let descriptions = findings.group("description");
        assert_eq!(descriptions.len(), MOST_VALUES + 1);
        assert_eq!(descriptions[0], (OTHERS, 10_000 - MOST_VALUES as u64));
        assert_eq!(findings.group("weaknesses"), [("a", 10_000), ("b", 10_000)]);
        assert_eq!(findings.group("age"), [("three years or more", 10_000)]);
    }
}
