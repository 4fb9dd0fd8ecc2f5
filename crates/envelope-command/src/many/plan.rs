//! What would be done with many objects.

use std::io::{self, Write};

use indicatif::HumanBytes;
use serde_json::Value;

use crate::{
    failure::one_line,
    progress::{OutputLines, is_json},
};

/// The standard output, on which a plan is lines of JSON for programs, and words for people.
pub(super) struct Plan;

impl Write for Plan {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let value: Value = serde_json::from_slice(line)?;
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        if is_json() {
            OutputLines.write_all(line)?;
        } else {
            let (status, key) = (field("status"), one_line(field("key")));
            let bytes = value.get("bytes").and_then(Value::as_u64);
            let bytes = bytes.map(|bytes| HumanBytes(bytes).to_string()).unwrap_or_default();
            let reason = match field("reason") {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            let words = format!("{status:<12} {bytes:>12}  {key}{reason}\n");
            OutputLines.write_all(words.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        OutputLines.flush()
    }
}
