//! The explanations of red cells: `interop/defects.toml`.

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use crate::{
    outcome::Outcome,
    results::{Cell, Results},
};

/// A defect or a limit of an SDK, and the cells that it explains.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defect {
    /// A name for links, such as `cos-java-ctr-range`.
    pub(crate) id: String,
    /// Patterns of the cells; what is absent matches everything.
    #[serde(default)]
    writer: Option<Pattern>,
    #[serde(default)]
    case: Option<Pattern>,
    /// What the metadata say: dialect, wrap algorithm and content algorithm.
    #[serde(default)]
    says: Option<Pattern>,
    #[serde(default)]
    reader: Option<Pattern>,
    /// The kinds of read; `written` for an attempt to write.
    #[serde(default)]
    kind: Option<Pattern>,
    /// The outcome with its reason.
    #[serde(default)]
    outcome: Option<Pattern>,
    /// What goes wrong, in a sentence or two.
    pub(crate) en: String,
    pub(crate) zh: String,
    /// The SDK's file and function.
    pub(crate) place: String,
    /// The smallest reproduction.
    pub(crate) reproduction: String,
}

/// One or several patterns with `*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Texts")]
struct Pattern(Vec<GlobMatcher>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<Texts> for Pattern {
    type Error = globset::Error;

    fn try_from(texts: Texts) -> Result<Self, globset::Error> {
        let texts = match texts {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        };
        let globs = texts.iter().map(|text| Ok(Glob::new(text)?.compile_matcher()));
        globs.collect::<Result<_, _>>().map(Self)
    }
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|glob| glob.is_match(text))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    defect: Vec<Defect>,
}

/// Returns the explanations.
pub(crate) fn all() -> Result<Vec<Defect>, String> {
    let file: File = toml::from_str(include_str!("../defects.toml"))
        .map_err(|error| format!("defects.toml: {error}"))?;
    Ok(file.defect)
}

impl Defect {
    fn explains(&self, cell: &Cell<'_>, says: &str) -> bool {
        let (reader, kind) = cell.read.unwrap_or(("", "written"));
        let outcome = cell.outcome.to_string();
        [
            (&self.writer, cell.writer),
            (&self.case, cell.case),
            (&self.says, says),
            (&self.reader, reader),
            (&self.kind, kind),
            (&self.outcome, outcome.as_str()),
        ]
        .into_iter()
        .all(|(pattern, text)| pattern.as_ref().is_none_or(|pattern| pattern.matches(text)))
    }
}

/// Returns the explanation of each red cell, in the order of [`Results::cells`].
///
/// # Errors
/// Every red cell that nothing explains, and every explanation of nothing.
pub(crate) fn explain<'a>(
    results: &'a Results,
    defects: &'a [Defect],
) -> Result<Vec<(Cell<'a>, &'a Defect)>, String> {
    let (mut explained, mut problems) = (Vec::new(), Vec::new());
    for cell in results.cells().filter(|cell| Outcome::is_red(cell.outcome)) {
        let says = results.says(&cell);
        match defects.iter().find(|defect| defect.explains(&cell, says)) {
            Some(defect) => explained.push((cell, defect)),
            None => problems.push(format!("{} [{says}]: {}", cell.name(), cell.outcome)),
        }
    }
    for defect in defects {
        if !explained.iter().any(|(_, it)| it.id == defect.id) {
            problems.push(format!("the defect {} explains no cell", defect.id));
        }
    }
    if problems.is_empty() { Ok(explained) } else { Err(problems.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defects(pattern: &str) -> Vec<Defect> {
        let text = format!(
            "[[defect]]\nid = 'a'\n{pattern}\nen = ''\nzh = ''\nplace = ''\nreproduction = ''"
        );
        toml::from_str::<File>(&text).unwrap().defect
    }

    #[test]
    fn red_cells_and_explanations_belong_together() {
        let results: Results = serde_json::from_str(
            r#"{"w 1": {"rsa put": {"written": "works", "says": "oss-v2 rsa ctr", "readers":
                {"r 1": {"whole": "works", "-16": "wrong", "keys": "unsupported: no"}}}}}"#,
        )
        .unwrap();
        for fits in [
            "",
            "writer = 'w *'\nreader = ['x', 'r 1']\nkind = '-16'",
            "case = 'rsa *'\nsays = '* ctr'\noutcome = 'wrong'",
        ] {
            let defects = defects(fits);
            let explained = explain(&results, &defects).unwrap();
            assert_eq!(explained.len(), 1, "{fits}");
        }
        for other in ["writer = 'w'", "kind = 'whole'", "outcome = 'refuses*'", "says = 'oss-v1*'"]
        {
            let problems = explain(&results, &defects(other)).err().unwrap();
            assert!(problems.contains("w 1, rsa put, read by r 1, -16"), "{problems}");
            assert!(problems.contains("the defect a explains no cell"), "{problems}");
        }
    }

    #[test]
    fn the_explanations_can_be_read() {
        let mut ids: Vec<String> = all().unwrap().into_iter().map(|defect| defect.id).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
