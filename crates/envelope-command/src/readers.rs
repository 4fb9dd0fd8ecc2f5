//! Which SDKs read what is written: chosen before, and said after.

use std::path::Path;

use envelope_kms::KmsVendor;
use envelope_store::UploadResult;
use meta_codec::{Form, Reach, Reader, Vendor, WrapAlgorithm};
use serde_json::{Value, json};

use crate::{
    args::{Content, Encrypt, Kms, KmsStyle, Put, Readers, Wrapping},
    failure::Failure,
    key_file,
};

/// Chooses how objects are uploaded so that all readers that the arguments name read them.
pub(crate) fn settle(args: &mut Put, vendor: Option<Vendor>, piped: bool) -> Result<(), Failure> {
    let Some(form) = choose(&args.readers, vendor, args.key.as_deref(), &args.kms)? else {
        return Ok(());
    };
    write(&form, &args.readers, &mut args.wrapping, &mut args.style, &args.kms)?;
    args.content = Some(Content::of(form.content));
    // What comes from a pipe has no length before its end.
    args.spool |= form.needs_len && piped;
    Ok(())
}

/// Chooses how a file is encrypted so that all readers that the arguments name read it.
pub(crate) fn settle_encrypt(args: &mut Encrypt) -> Result<(), Failure> {
    let Some(form) = choose(&args.readers, None, args.key.as_deref(), &args.kms)? else {
        return Ok(());
    };
    write(&form, &args.readers, &mut args.wrapping, &mut args.style, &args.kms)?;
    args.content = Some(Content::of(form.content));
    Ok(())
}

/// Returns the form that all readers read. `None` if none is named.
pub(crate) fn choose(
    readers: &Readers,
    vendor: Option<Vendor>,
    key: Option<&Path>,
    kms: &Kms,
) -> Result<Option<Form>, Failure> {
    let of_store = |form: &Form| vendor.is_none_or(|vendor| form.dialect.vendor() == vendor);
    // A profile may name readers of both stores.
    let is_meant =
        |reader: &&Reader| !readers.from_profile || reader.forms().any(|it| of_store(&it));
    let meant: Vec<Reader> = readers.readers.iter().filter(is_meant).copied().collect();
    if meant.is_empty() {
        return Ok(None);
    }
    let wraps: Box<dyn Fn(WrapAlgorithm) -> bool> = match (key, &kms.kms) {
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
    form(&meant, vendor, &*wraps).map(Some).ok_or_else(|| {
        let names: Vec<&str> = meant.iter().map(|reader| reader.id()).collect();
        Failure::usage(
            format_args!("no object with this kind of key is read by {}", names.join(" and ")),
            readable(&meant, vendor),
        )
    })
}

/// Makes the other arguments say what the form is.
fn write(
    form: &Form,
    readers: &Readers,
    wrapping: &mut Wrapping,
    style: &mut KmsStyle,
    kms: &Kms,
) -> Result<(), Failure> {
    if !form.allows_description && !wrapping.matdesc.is_empty() {
        return Err(Failure::usage(
            "one of the readers knows no material descriptions",
            "omit --matdesc, or the reader",
        ));
    }
    wrapping.dialect = Some(form.dialect);
    wrapping.wrap = Some(form.wrap);
    style.kms_blob_twice |= form.blob_twice;
    let is_go = |reader: &Reader| reader.id() == "cos-go";
    style.kms_context_go |= kms.kms.is_some() && readers.readers.iter().any(is_go);
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
    // Of equals the one that most others read, too: that of the store's default dialect.
    let rank = |form: &Form| {
        let is_default = form.dialect == form.dialect.vendor().default_dialect();
        (form.reach, is_default)
    };
    common.reduce(|best, form| if rank(&form) > rank(&best) { form } else { best })
}

/// Returns which keys the readers take, in words.
fn readable(readers: &[Reader], vendor: Option<Vendor>) -> String {
    let of = |reader: &Reader| {
        let of_store = |form: &Form| vendor.is_none_or(|vendor| form.dialect.vendor() == vendor);
        let mut wraps: Vec<&str> =
            reader.forms().filter(of_store).map(|form| form.wrap.id()).collect();
        wraps.sort_unstable();
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
    let of = |(reader, reach): &(Reader, Reach)| {
        let ranges = *reach == Reach::Ranges;
        json!({ "reader": reader.id(), "ranges": ranges })
    };
    result.readers.iter().map(of).collect()
}

/// Returns whether a plaintext comes from a pipe or the like, and has no length before its end.
pub(crate) fn is_piped(path: &Path) -> bool {
    !path.is_dir() && !path.is_file()
}
