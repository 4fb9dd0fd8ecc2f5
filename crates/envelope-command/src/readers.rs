//! Which SDKs read what is written: chosen before, and said after.

use std::path::Path;

use envelope_kms::KmsVendor;
use envelope_store::UploadResult;
use meta_codec::{Form, Reach, Reader, Vendor, WrapAlgorithm};
use serde_json::{Value, json};

use crate::{
    args::{Content, Put},
    failure::Failure,
    key_file,
};

/// Chooses how objects are written so that all readers that the arguments name read them.
pub(crate) fn settle(args: &mut Put, vendor: Option<Vendor>, piped: bool) -> Result<(), Failure> {
    let readers = &args.readers.readers;
    if readers.is_empty() {
        return Ok(());
    }
    let wraps: Box<dyn Fn(WrapAlgorithm) -> bool> = match (&args.key, &args.kms.kms) {
        (_, Some(kms)) => {
            let vendor = kms.vendor;
            Box::new(move |wrap| match vendor {
                KmsVendor::Aliyun => wrap == WrapAlgorithm::KmsAliyun,
                _ => wrap == WrapAlgorithm::KmsTencent,
            })
        }
        (Some(path), None) if key_file::is_aes(path)? => Box::new(WrapAlgorithm::is_aes),
        _ => Box::new(WrapAlgorithm::is_rsa),
    };
    let form = form(readers, vendor, &*wraps).ok_or_else(|| {
        let names: Vec<&str> = readers.iter().map(|reader| reader.id()).collect();
        Failure::usage(
            format_args!("no object with this kind of key is read by {}", names.join(" and ")),
            readable(readers, vendor),
        )
    })?;
    if !form.allows_description && !args.wrapping.matdesc.is_empty() {
        return Err(Failure::usage(
            "one of the readers knows no material descriptions",
            "omit --matdesc, or the reader",
        ));
    }
    args.wrapping.dialect = Some(form.dialect);
    args.wrapping.wrap = Some(form.wrap);
    args.content = Content::of(form.content);
    args.style.kms_blob_twice |= form.blob_twice;
    let is_go = |reader: &Reader| reader.id() == "cos-go";
    args.style.kms_context_go |= args.kms.kms.is_some() && readers.iter().any(is_go);
    // What comes from a pipe has no length before its end.
    args.spool |= form.needs_len && piped;
    Ok(())
}

/// Returns the form that all readers read, the one of which they read most.
fn form(
    readers: &[Reader],
    vendor: Option<Vendor>,
    wraps: &dyn Fn(WrapAlgorithm) -> bool,
) -> Option<Form> {
    let (first, others) = readers.split_first()?;
    let of_store = |form: &Form| vendor.is_none_or(|vendor| form.dialect.vendor() == vendor);
    let common =
        first.forms().filter(of_store).filter(|form| wraps(form.wrap)).filter_map(|form| {
            others
                .iter()
                .try_fold(form, |form, reader| reader.forms().find_map(|other| form.and(other)))
        });
    // Of equals the first one, as the table has it.
    common.reduce(|best, form| if form.reach > best.reach { form } else { best })
}

/// Returns which keys the readers take, in words.
fn readable(readers: &[Reader], vendor: Option<Vendor>) -> String {
    let of = |reader: &Reader| {
        let of_store = |form: &Form| vendor.is_none_or(|vendor| form.dialect.vendor() == vendor);
        let mut wraps: Vec<&str> =
            reader.forms().filter(of_store).map(|form| form.wrap.id()).collect();
        wraps.dedup();
        match wraps.is_empty() {
            true => format!("{} reads no objects of this store", reader.id()),
            false => format!("{} reads {}", reader.id(), wraps.join(", ")),
        }
    };
    readers.iter().map(of).collect::<Vec<_>>().join("; ")
}

/// Says in one line who reads an object. `None` if it is not encrypted.
pub(crate) fn line(result: &UploadResult, encrypted: bool) -> Option<String> {
    if !encrypted {
        return None;
    }
    let ids = |wanted: Reach| {
        let of = result.readers.iter().filter(|(_, reach)| *reach == wanted);
        of.map(|(reader, _)| reader.id()).collect::<Vec<_>>().join(", ")
    };
    Some(match (ids(Reach::Ranges), ids(Reach::Whole)) {
        (ranges, whole) if ranges.is_empty() && whole.is_empty() => {
            "read by envelope only".to_owned()
        }
        (ranges, whole) if whole.is_empty() => format!("read by envelope, {ranges}"),
        (ranges, whole) if ranges.is_empty() => format!("read by envelope; as a whole by {whole}"),
        (ranges, whole) => format!("read by envelope, {ranges}; as a whole by {whole}"),
    })
}

/// The same for programs.
pub(crate) fn json(result: &UploadResult) -> Value {
    let of = |(reader, reach): &(Reader, Reach)| json!({ "reader": reader.id(), "ranges": *reach == Reach::Ranges });
    result.readers.iter().map(of).collect()
}

/// Returns whether a plaintext comes from a pipe or the like, and has no length before its end.
pub(crate) fn is_piped(path: &Path) -> bool {
    !path.is_dir() && !path.is_file()
}
