//! The page of an audit, for people.

use std::io::Write;

use indicatif::HumanBytes;
use jiff::Timestamp;
use serde_json::Value;

use super::findings::{Findings, GROUPS};
use crate::{failure::Failure, weakness};

/// The page, with marks where the findings belong. Nothing in it is fetched from anywhere.
const TEMPLATE: &str = include_str!("page.html");

/// Writes the page.
pub(super) fn write(place: &str, findings: &Findings, out: &mut impl Write) -> Result<(), Failure> {
    let mut rest = TEMPLATE;
    let mut text = String::with_capacity(TEMPLATE.len());
    while let Some((before, after)) = rest.split_once("{{") {
        let (mark, after) = after.split_once("}}").unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(&fill(mark, place, findings));
        rest = after;
    }
    text.push_str(rest);
    let failed = |error| Failure::io("the page".as_ref(), &error);
    out.write_all(text.as_bytes()).map_err(failed)
}

fn fill(mark: &str, place: &str, findings: &Findings) -> String {
    match mark {
        "place" => escape(place),
        "time" => escape(&Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
        "objects" => findings.objects.to_string(),
        "bytes" => escape(&HumanBytes(findings.bytes).to_string()),
        "noteworthy" => findings.noteworthy.to_string(),
        "opens" => {
            let states = findings.group("status");
            let opens = states.iter().find(|(state, _)| *state == "opens");
            opens.map_or(0, |(_, count)| *count).to_string()
        }
        "rows" => findings.rows().count().to_string(),
        "charts" => GROUPS.iter().map(|(name, field)| chart(name, field, findings)).collect(),
        "weaknesses" => weaknesses(findings),
        "data" => script(&Value::from_iter(findings.rows().cloned())),
        _ => String::new(),
    }
}

/// Returns a bar for each value of a group.
fn chart(name: &str, field: &str, findings: &Findings) -> String {
    let group = findings.group(field);
    let Some(most) = group.iter().map(|(_, count)| *count).max() else { return String::new() };
    let bars: String = group
        .iter()
        .map(|(value, count)| {
            let share = count.saturating_mul(100).checked_div(most).unwrap_or_default().max(1);
            format!(
                "<li class=\"{}\"><span>{}</span><b>{count}</b>\
                 <i style=\"width:{share}%\"></i></li>",
                tone(value),
                escape(value)
            )
        })
        .collect();
    format!("<section><h2>{}</h2><ul>{bars}</ul></section>", escape(name))
}

/// Returns how a value is to be seen, as the name of a style.
fn tone(value: &str) -> &'static str {
    match value {
        "opens" | "sealed" | "gcm" => "good",
        "locked" | "invalid" | "failed" | "unprotected" => "bad",
        "plain" | "none" => "odd",
        _ => "",
    }
}

/// Explains the weaknesses that were found.
fn weaknesses(findings: &Findings) -> String {
    findings
        .group("weaknesses")
        .iter()
        .map(|(id, _)| {
            let words = weakness::words(id).unwrap_or_default();
            format!("<dt>{}</dt><dd>{}</dd>", escape(id), escape(words))
        })
        .collect()
}

fn escape(text: &str) -> String {
    let signs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")];
    signs.iter().fold(text.to_owned(), |text, (sign, name)| text.replace(sign, name))
}

/// Returns JSON that cannot end the element that it is in.
fn script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use envelope_store::bulk::Outcome;
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_descriptions_are_text() {
        let mut findings = Findings::default();
        let hostile = "</script><img src=x onerror=alert(1)>{{data}}\"'&";
        let mut outcome = Outcome::new("opens")
            .with_detail("description", hostile)
            .with_detail("opened_by", hostile)
            .with_detail("weaknesses", json!([hostile]));
        outcome.error = Some(hostile.to_owned());
        findings.add(hostile, &outcome);
        let mut page = Vec::new();
        write(hostile, &findings, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(!page.contains("<img"), "{page}");
        assert_eq!(page.matches("</script>").count(), TEMPLATE.matches("</script>").count());
        let data = page.split_once("type=\"application/json\">").unwrap().1;
        let data = data.split_once("</script>").unwrap().0;
        let rows: Value = serde_json::from_str(data).unwrap();
        assert_eq!(rows[0]["key"], hostile);
        // Nothing is fetched from anywhere.
        assert!(!TEMPLATE.contains("://") && TEMPLATE.contains("default-src 'none'"));
    }
}
