//! Files that hold the headers of an object.

use std::{io::Write as _, path::Path};

use meta_codec::{Envelope, parse_instruction, parse_tolerant, read_headers};

use crate::{
    failure::{Code, Failure},
    input::read_small,
    output::Output,
};

/// Reads the envelope from a header file and, if there is one, an instruction file. Returns `None`
/// if the object is not encrypted. It may deviate from its dialect, which the policy decides about.
pub(crate) fn read(path: &Path, instruction: Option<&Path>) -> Result<Option<Envelope>, Failure> {
    let headers = pairs(path)?;
    match instruction {
        Some(file) => Ok(Some(parse_instruction(headers, &read_text(file)?)?)),
        None => Ok(parse_tolerant(headers)?),
    }
}

/// Reads all headers of a header file.
pub(crate) fn pairs(path: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    read_headers(&read_small(path)?).map_err(|error| {
        Failure::new(
            Code::Metadata,
            format_args!("{}: {error}", path.display()),
            "supply a flat JSON object of header names to values, or the output of `curl -I`",
        )
    })
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read_small(path)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        Failure::new(
            Code::Metadata,
            format_args!("{}: not UTF-8 text", path.display()),
            "save the headers as text",
        )
    })
}

/// Writes headers as a flat JSON object, one per line.
pub(crate) fn write(
    headers: &[(&'static str, String)],
    output: &mut Output,
) -> Result<(), Failure> {
    let mut text = String::from("{\n");
    for (index, (name, value)) in headers.iter().enumerate() {
        let comma = if index + 1 < headers.len() { "," } else { "" };
        let value = serde_json::Value::from(value.as_str());
        text.push_str(&format!("  \"{name}\": {value}{comma}\n"));
    }
    text.push_str("}\n");
    output.write_all(text.as_bytes()).map_err(|error| Failure::io(output.path(), &error))
}
