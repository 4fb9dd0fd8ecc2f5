//! The files in `fixtures/`, which other implementations use as well: that they follow their
//! schemas and fit each other.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use jsonschema::Validator;
use serde_json::Value;

/// The files of every case. Others must be named by `case.json`.
const CASE_FILES: [&str; 4] = ["SOURCE.txt", "case.json", "cipher.bin", "headers.json"];

/// The files `<name>.schema.json`.
const SCHEMAS: [&str; 4] = ["case", "headers", "hostile", "kms"];

/// The folders that are not those of writers. `make` is no part of the suite and not looked into.
const FOLDERS: [&str; 3] = ["hostile", "keys", "make"];

struct Schemas {
    case: Validator,
    headers: Validator,
    hostile: Validator,
    instruction: Validator,
    kms: Validator,
}

/// Checks all files in `fixtures/`, and names each that is wrong.
pub(crate) fn check() -> Result<(), String> {
    let top = crate::root().join("fixtures");
    let (schemas, writers) = (Schemas::read(&top)?, writers(&top)?);
    let (mut cases, hostile) = (Vec::new(), list(&top.join("hostile"))?);
    for writer in &writers {
        cases.extend(list(writer)?);
    }
    let counts = format!("{} cases and {} hostile sets", cases.len(), hostile.len());
    let problems: Vec<String> = cases
        .iter()
        .map(|folder| check_case(&schemas, &top, folder))
        .chain(hostile.iter().map(|file| valid(&schemas.hostile, file).map(|_| ())))
        .chain([check_shared_keys(&top.join("keys"))])
        .chain([check_readme(&top.join("README.md"), &writers, &counts)])
        .filter_map(Result::err)
        .collect();
    println!("{counts}");
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

impl Schemas {
    fn read(top: &Path) -> Result<Self, String> {
        let compile = |name: &str, pointer: &str| {
            let file = top.join(format!("{name}.schema.json"));
            let schema = json(&file)?;
            let part = schema.pointer(pointer).ok_or_else(|| at(&file, pointer))?;
            jsonschema::draft202012::new(part).map_err(|error| at(&file, error))
        };
        Ok(Self {
            case: compile("case", "")?,
            headers: compile("headers", "")?,
            hostile: compile("hostile", "")?,
            instruction: compile("headers", "/$defs/instruction")?,
            kms: compile("kms", "")?,
        })
    }
}

/// Returns the folders of the writers.
fn writers(top: &Path) -> Result<Vec<PathBuf>, String> {
    let mut writers = list(top)?;
    let is_schema = |name: &str| SCHEMAS.iter().any(|each| *name == format!("{each}.schema.json"));
    let is_known = |name: &str| FOLDERS.contains(&name) || name == "README.md" || is_schema(name);
    writers.retain(|path| !is_known(name(path)));
    match writers.iter().find(|path| !path.is_dir()) {
        Some(path) => Err(at(path, "unknown file")),
        None => Ok(writers),
    }
}

fn check_case(schemas: &Schemas, top: &Path, folder: &Path) -> Result<(), String> {
    let files = list(folder)?;
    for name in CASE_FILES {
        ensure(folder.join(name).is_file(), &folder.join(name), "missing")?;
    }
    let case = valid(&schemas.case, &folder.join("case.json"))?;
    let headers = valid(&schemas.headers, &folder.join("headers.json"))?;
    let (key, instruction) = (text(&case, "key"), text(&case, "instruction"));
    let kms = text(&case, "kms").map(|_| "kms.json");
    for name in [key, instruction, kms].into_iter().flatten() {
        check_path(top, folder, name)?;
    }
    for file in &files {
        let name = name(file);
        let is_named = [key, instruction, kms].contains(&Some(name)) || CASE_FILES.contains(&name);
        ensure(is_named, file, "unknown file, or not named by case.json")?;
    }
    let instruction = instruction.map(|name| valid(&schemas.instruction, &folder.join(name)));
    let metadata = instruction.unwrap_or_else(|| Ok(headers.clone()))?;
    let length = case.get("length").and_then(Value::as_u64).unwrap_or_default();
    check_copies(folder, &case, &metadata)?;
    check_lengths(folder, &case, &headers, length)?;
    check_body(folder, &case, &metadata, length)?;
    let is_encrypted = text(&case, "passphrase").is_some();
    key.map_or(Ok(()), |name| check_key(&folder.join(name), is_encrypted))?;
    kms.map_or(Ok(()), |name| check_kms(&schemas.kms, &folder.join(name), &case))
}

/// Checks that a file exists and is inside of `fixtures/`.
fn check_path(top: &Path, folder: &Path, name: &str) -> Result<(), String> {
    let file = folder.join(name);
    let real = |path: &Path| fs::canonicalize(path).map_err(|error| at(&file, error));
    ensure(real(&file)?.starts_with(real(top)?), &file, "outside of fixtures/")
}

/// Checks that what `case.json` copies from the metadata is there.
fn check_copies(folder: &Path, case: &Value, metadata: &Value) -> Result<(), String> {
    for (field, end) in [("cek_alg", "cek-alg"), ("wrap_alg", "wrap-alg"), ("matdesc", "matdesc")] {
        let copy = text(case, field);
        let fits = copy.is_none() || copy == ending(metadata, end).next();
        ensure(fits, &folder.join("case.json"), format!("{field} is not that of the metadata"))?;
    }
    Ok(())
}

/// Checks the length of the plaintext wherever it is stated.
fn check_lengths(folder: &Path, case: &Value, headers: &Value, length: u64) -> Result<(), String> {
    for end in ["unencrypted-content-length", "data-size"] {
        let fits = ending(headers, end).all(|value| value == length.to_string());
        ensure(fits, &folder.join("headers.json"), format!("{end} is not {length}"))?;
    }
    if let Some(parts) = case.get("part_sizes").and_then(Value::as_array) {
        let sum = parts.iter().filter_map(Value::as_u64).fold(0, u64::saturating_add);
        ensure(
            sum == length,
            &folder.join("case.json"),
            format!("part_sizes have {sum} bytes together"),
        )?;
    }
    Ok(())
}

/// Checks the length of the body, and that the name of the folder says what is wrong with it.
fn check_body(folder: &Path, case: &Value, metadata: &Value, length: u64) -> Result<(), String> {
    let is_truncated = name(folder).ends_with("-TRUNCATED");
    let expect = if is_truncated || name(folder).ends_with("-CORRUPT") { "corrupt" } else { "ok" };
    let fits = text(case, "expect") == Some(expect);
    ensure(fits, &folder.join("case.json"), "expect does not fit the folder's name")?;
    // In oss-v1, the name of GCM means CTR; cos-v1 has CTR and names nothing.
    let is_oss_v1 = text(metadata, "x-oss-meta-oss-cek-alg").is_some();
    let whole = match ending(metadata, "cek-alg").next() {
        Some("AES/GCM/NoPadding") if !is_oss_v1 => length.saturating_add(16),
        Some("AES/CBC/PKCS5Padding") => (length / 16 * 16).saturating_add(16),
        _ => length,
    };
    let file = folder.join("cipher.bin");
    let got = fs::metadata(&file).map_err(|error| at(&file, error))?.len();
    let fits = if is_truncated { got < whole } else { got == whole };
    ensure(fits, &file, format!("{got} bytes, but a whole body has {whole}"))
}

fn check_kms(schema: &Validator, file: &Path, case: &Value) -> Result<(), String> {
    let answers = valid(schema, file)?;
    let context = text(case, "kms_encryption_context_of_key");
    let has = |answer: &Value| text(answer, "encryption_context") == context;
    let fits = context.is_none() || answers.as_array().is_some_and(|all| all.iter().any(has));
    ensure(fits, file, "no answer has the context that case.json says")
}

fn check_key(file: &Path, is_encrypted: bool) -> Result<(), String> {
    let key = fs::read_to_string(file).map_err(|error| at(file, error))?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let is_aes = [24, 32, 44].contains(&key.len()) && key.bytes().all(is_base64);
    let is_rsa = key.starts_with("-----BEGIN ") && key.contains(" PRIVATE KEY-----");
    ensure(is_aes || is_rsa, file, "not the base64 of an AES key, nor the PEM of an RSA key")?;
    ensure(key.contains("ENCRYPTED") == is_encrypted, file, "passphrase does not fit the key")
}

fn check_shared_keys(folder: &Path) -> Result<(), String> {
    let (shared, forms) = (list(folder)?, list(&folder.join("forms"))?);
    for path in shared.iter().chain(&forms).filter(|path| !path.ends_with("keys/forms")) {
        let is_key = ["key", "pem", "der"].iter().any(|end| path.extension() == Some(end.as_ref()));
        ensure(is_key && path.is_file(), path, "not a key")?;
    }
    Ok(())
}

/// Checks that the table has a row for every folder and no other, and the numbers of cases.
fn check_readme(file: &Path, writers: &[PathBuf], counts: &str) -> Result<(), String> {
    let page = fs::read_to_string(file).map_err(|error| at(file, error))?;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("/` |"));
    let rows: Vec<&str> = rows.map(|(name, _)| name).filter(|name| !name.contains('`')).collect();
    let folders: Vec<&str> = writers.iter().map(|path| name(path)).chain(FOLDERS).collect();
    for name in &folders {
        let has_row = rows.contains(name) || *name == "make";
        ensure(has_row, file, format!("no row for {name}/"))?;
    }
    for row in &rows {
        ensure(folders.contains(row), file, format!("a row for {row}/, which is not there"))?;
    }
    ensure(page.contains(counts), file, format!("does not say that there are {counts}"))
}

/// Reads a JSON file that follows a schema.
fn valid(schema: &Validator, file: &Path) -> Result<Value, String> {
    let value = json(file)?;
    let faults: Vec<String> = schema
        .iter_errors(&value)
        .map(|error| at(file, format!("#{}: {error}", error.instance_path())))
        .collect();
    if faults.is_empty() { Ok(value) } else { Err(faults.join("\n")) }
}

fn json(file: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(file).map_err(|error| at(file, error))?;
    serde_json::from_str(&text).map_err(|error| at(file, error))
}

/// Returns the sorted paths in a folder, of which there must be one.
fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| at(folder, error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>();
    let mut paths: Vec<PathBuf> = paths.map_err(|error| at(folder, error))?;
    paths.sort_unstable();
    ensure(!paths.is_empty(), folder, "the folder is empty")?;
    Ok(paths)
}

/// Returns the last part of a path, or nothing if that is not Unicode.
fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Returns the values whose names have this end.
fn ending<'a>(object: &'a Value, end: &str) -> impl Iterator<Item = &'a str> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(move |(name, _)| name.ends_with(end)).filter_map(|(_, value)| value.as_str())
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn ensure(holds: bool, file: &Path, fault: impl Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(at(file, fault)) }
}

fn at(file: &Path, fault: impl Display) -> String {
    format!("{}: {fault}", file.display())
}
