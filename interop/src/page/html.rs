//! The page that can be filtered.

use meta_codec::Vendor;
use serde_json::{Value, json};

use super::Page;

/// The place in the template where the data go.
const MARK: &str = "/*DATA*/";

/// The texts of the page, each once.
#[derive(Default)]
struct Texts(Vec<String>);

impl Texts {
    /// Returns the number of a text.
    fn number(&mut self, text: &str) -> usize {
        self.0.iter().position(|it| it == text).unwrap_or_else(|| {
            self.0.push(text.to_owned());
            self.0.len() - 1
        })
    }
}

/// Makes the page.
pub(super) fn page(page: &Page<'_>) -> Result<String, String> {
    let (before, after) =
        include_str!("interop.html").split_once(MARK).ok_or("the template has no mark")?;
    let (mut texts, mut rows) = (Texts::default(), Vec::new());
    for vendor in Vendor::ALL {
        for (writer, case, object) in page.objects(vendor) {
            let mut reads = Vec::new();
            for (reader, kinds) in &object.readers {
                for (kind, outcome) in kinds {
                    let defect = page.defect(writer, case, Some((reader, kind)));
                    let [reader, kind, outcome] =
                        [reader, kind, &outcome.to_string()].map(|text| texts.number(text));
                    reads.push(json!([reader, kind, outcome, defect]));
                }
            }
            let defect = page.defect(writer, case, None);
            let written = object.written.to_string();
            let [writer, case, written] =
                [writer, case, written.as_str()].map(|text| texts.number(text));
            rows.push(json!([vendor.id(), writer, case, written, defect, reads]));
        }
    }
    let defects: Vec<Value> = page
        .defects
        .iter()
        .map(|defect| {
            json!({ "id": defect.id, "en": defect.en, "place": defect.place,
                "reproduction": defect.reproduction })
        })
        .collect();
    // In a script, nothing but the end tag has a meaning for HTML.
    let data = json!({ "texts": texts.0, "defects": defects, "rows": rows });
    let data = data.to_string().replace("</", "<\\/").replace("],[\"", "],\n[\"");
    Ok(format!("{before}{data}{after}"))
}
