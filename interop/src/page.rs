//! The published pages: `docs/interop.md` in two languages and `docs/interop.html`.

mod html;
mod markdown;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use meta_codec::Vendor;

use crate::{
    defect::Defect,
    driver::Build,
    outcome::Outcome,
    results::{Cell, Results},
};

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    English,
    Chinese,
}

impl Language {
    /// Returns the text in this language.
    const fn choose<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }
}

/// Everything that a page shows.
struct Page<'a> {
    results: &'a Results,
    explained: &'a [(Cell<'a>, &'a Defect)],
    defects: &'a [Defect],
    /// The vendor of each writer and reader; those that are not SDKs belong to both.
    vendors: BTreeMap<String, Vendor>,
}

/// Makes the pages, by their paths in the repository.
///
/// # Errors
/// If the template of a page does not fit.
pub(crate) fn pages(
    results: &Results,
    explained: &[(Cell<'_>, &Defect)],
    defects: &[Defect],
    builds: &[Build],
) -> Result<Vec<(&'static str, String)>, String> {
    let page = Page { results, explained, defects, vendors: vendors(builds) };
    Ok(vec![
        ("docs/interop.md", markdown::page(&page, Language::English)),
        ("docs/interop.zh.md", markdown::page(&page, Language::Chinese)),
        ("docs/interop.html", html::page(&page)?),
    ])
}

/// Returns the matrix for a terminal: how many reads work of each writer's objects by each reader.
pub(crate) fn summary(results: &Results, builds: &[Build]) -> String {
    let page = Page { results, explained: &[], defects: &[], vendors: vendors(builds) };
    markdown::matrix(&page)
}

fn vendors(builds: &[Build]) -> BTreeMap<String, Vendor> {
    let vendor = |build: &Build| {
        let found = Vendor::ALL.into_iter().find(|vendor| vendor.id() == build.vendor);
        found.map(|vendor| (build.name(), vendor))
    };
    builds.iter().filter_map(vendor).collect()
}

/// Writes pages.
pub(crate) fn write(pages: &[(&str, String)]) -> Result<(), String> {
    for (name, text) in pages {
        let path = root().join(name);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Compares pages with the committed ones.
pub(crate) fn check(pages: &[(&str, String)]) -> Result<(), String> {
    for (name, text) in pages {
        let path = root().join(name);
        if !fs::read_to_string(&path).is_ok_and(|committed| committed == *text) {
            return Err(format!("{name} is not up to date: run `cargo xtask interop`"));
        }
    }
    Ok(())
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

impl<'a> Page<'a> {
    /// Returns the objects of a vendor: the writer, the case and what became of it.
    fn objects(
        &self,
        vendor: Vendor,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a crate::results::Object)> {
        let results: &'a Results = self.results;
        results.0.iter().flat_map(move |(writer, objects)| {
            objects
                .iter()
                .filter(move |(case, object)| self.is_of(vendor, writer, case, &object.says))
                .map(move |(case, object)| (writer.as_str(), case.as_str(), object))
        })
    }

    fn is_of(&self, vendor: Vendor, writer: &str, case: &str, says: &str) -> bool {
        let own = self.vendors.get(writer).map(|own| *own == vendor);
        own.unwrap_or_else(|| says.starts_with(vendor.id()) || case.starts_with(vendor.id()))
    }

    /// Returns the writers of a vendor's objects.
    fn writers(&self, vendor: Vendor) -> BTreeSet<&'a str> {
        self.objects(vendor).map(|(writer, ..)| writer).collect()
    }

    /// Returns the readers of a vendor's objects.
    fn readers(&self, vendor: Vendor) -> BTreeSet<&'a str> {
        self.objects(vendor)
            .flat_map(|(_, _, object)| object.readers.keys().map(String::as_str))
            .collect()
    }

    /// Returns the number of a cell's defect on the page, counted from 1.
    fn defect(&self, writer: &str, case: &str, read: Option<(&str, &str)>) -> Option<usize> {
        let (_, defect) = self
            .explained
            .iter()
            .find(|(cell, _)| (cell.writer, cell.case, cell.read) == (writer, case, read))?;
        self.defects.iter().position(|it| it.id == defect.id).map(|index| index + 1)
    }
}

/// How many of some reads work, and how many are silently wrong.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    works: usize,
    wrong: usize,
    /// All that the reader's interface can express.
    all: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Works => self.works += 1,
            Outcome::Wrong => self.wrong += 1,
            Outcome::Refuses(_) => {}
            Outcome::Unsupported(_) => return,
        }
        self.all += 1;
    }
}
