//! The results of a run, as they are committed.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// How an object was read: `whole`, a range such as `100-199`, or `keys` for a reader that knows
/// several keys by their descriptions.
pub(crate) type ReadKind = String;

/// What became of all objects, by writer and case.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Results(pub(crate) BTreeMap<String, BTreeMap<String, Object>>);

/// What became of one object.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Object {
    pub(crate) written: Outcome,
    /// The dialect, the wrap algorithm and the content algorithm that its metadata say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) says: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) readers: BTreeMap<String, BTreeMap<ReadKind, Outcome>>,
}

/// One result, with everything that names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    pub(crate) writer: &'a str,
    pub(crate) case: &'a str,
    /// The reader and the kind of read, or `None` for the attempt to write.
    pub(crate) read: Option<(&'a str, &'a str)>,
    pub(crate) outcome: &'a Outcome,
}

impl Results {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let words = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| words(&error))?;
        serde_json::from_str(&text).map_err(|error| words(&error))
    }

    /// Returns the results as JSON, with a line for each reader of each object.
    pub(crate) fn to_json(&self) -> Result<String, String> {
        let words = |error: serde_json::Error| error.to_string();
        let mut text = String::from("{\n");
        let mut writers = self.0.iter().peekable();
        while let Some((writer, objects)) = writers.next() {
            let _ = writeln!(text, "{}: {{", serde_json::to_string(writer).map_err(words)?);
            let mut objects = objects.iter().peekable();
            while let Some((case, object)) = objects.next() {
                let line = serde_json::to_string(object).map_err(words)?;
                let line =
                    line.replace("},\"", "},\n  \"").replace("\"readers\":{", "\"readers\":{\n  ");
                let comma = if objects.peek().is_some() { "," } else { "" };
                let case = serde_json::to_string(case).map_err(words)?;
                let _ = writeln!(text, " {case}: {line}{comma}");
            }
            text.push_str(if writers.peek().is_some() { "},\n" } else { "}\n" });
        }
        text.push_str("}\n");
        Ok(text)
    }

    /// Returns every result.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.0.iter().flat_map(|(writer, objects)| {
            objects.iter().flat_map(move |(case, object)| {
                let cell = move |read, outcome| Cell { writer, case, read, outcome };
                let reads = object.readers.iter().flat_map(move |(reader, reads)| {
                    reads.iter().map(move |(kind, outcome)| {
                        cell(Some((reader.as_str(), kind.as_str())), outcome)
                    })
                });
                std::iter::once(cell(None, &object.written)).chain(reads)
            })
        })
    }

    /// Returns what the metadata of a cell's object say.
    pub(crate) fn says(&self, cell: &Cell<'_>) -> &str {
        let object = self.0.get(cell.writer).and_then(|objects| objects.get(cell.case));
        object.map(|object| object.says.as_str()).unwrap_or_default()
    }

    /// Compares these results with earlier ones, and describes every cell that changed. Writers and
    /// readers that did not run now are passed over.
    pub(crate) fn changes(&self, before: &Self, ran: &dyn Fn(&str) -> bool) -> Vec<String> {
        let cells = |results: &Self| -> BTreeMap<String, &'static str> {
            let ran = results.cells().filter(|cell| cell.participants().all(ran));
            ran.map(|cell| (cell.name(), cell.outcome.kind())).collect()
        };
        let (now, before) = (cells(self), cells(before));
        let mut changes = Vec::new();
        for (name, kind) in &now {
            match before.get(name) {
                Some(old) if old == kind => {}
                Some(old) => changes.push(format!("{name}: was {old}, now {kind}")),
                None => changes.push(format!("{name}: new, {kind}")),
            }
        }
        let gone = before.keys().filter(|name| !now.contains_key(*name));
        changes.extend(gone.map(|name| format!("{name}: gone")));
        changes
    }
}

impl<'a> Cell<'a> {
    fn participants(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        std::iter::once(self.writer).chain(self.read.map(|(reader, _)| reader))
    }

    pub(crate) fn name(&self) -> String {
        let Self { writer, case, read, .. } = self;
        match read {
            Some((reader, kind)) => format!("{writer}, {case}, read by {reader}, {kind}"),
            None => format!("{writer}, {case}, written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(outcome: &str) -> Results {
        let text = format!(
            r#"{{"w 1": {{"put": {{"written": "works", "says": "oss-v2 x ctr", "readers":
                {{"r 1": {{"whole": "{outcome}"}}, "r 2": {{"whole": "works"}}}}}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn json_is_read_back() {
        let before = results("refuses: because: of it");
        let text = before.to_json().unwrap();
        let after: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(after.to_json().unwrap(), text);
        assert_eq!(before.cells().count(), 3);
        assert!(text.contains("refuses: because: of it"));
        assert!(serde_json::from_str::<Outcome>("\"refuses\"").is_err());
        assert!(serde_json::from_str::<Outcome>("\"perhaps\"").is_err());
    }

    #[test]
    fn a_changed_cell_is_a_change() {
        let (works, wrong) = (results("works"), results("wrong"));
        let all = |_: &str| true;
        assert_eq!(works.changes(&works, &all), [""; 0]);
        let change = "w 1, put, read by r 1, whole: was works, now wrong";
        assert_eq!(wrong.changes(&works, &all), [change]);
        // Another reason is no change, but a cell that is gone or new is one.
        let (one, other) = (results("refuses: a"), results("refuses: b"));
        assert_eq!(one.changes(&other, &all), [""; 0]);
        assert_eq!(Results::default().changes(&works, &all).len(), 3);
        assert_eq!(works.changes(&Results::default(), &all).len(), 3);
        // Who did not run has not changed.
        assert_eq!(wrong.changes(&works, &|name| name != "r 1"), [""; 0]);
        assert_eq!(Results::default().changes(&works, &|name| name != "w 1"), [""; 0]);
    }
}
