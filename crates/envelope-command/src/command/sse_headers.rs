//! `envelope sse-headers`: prints the request headers for server-side encryption.

use std::{
    io::{self, Write as _},
    path::Path,
};

use meta_codec::sse::{CosSse, OssSse, Request, Scheme, SseError, SseHeaders, StoreCipher};

use crate::{
    args::{self, SseMode, SseRequest, SseScheme},
    failure::Failure,
    input::standard,
};

pub(crate) fn run(args: &args::SseHeaders) -> Result<(), Failure> {
    check(args)?;
    let scheme = match args.scheme {
        SseScheme::Http => Scheme::Http,
        SseScheme::Https => Scheme::Https,
    };
    let request = match args.request {
        SseRequest::Put => Request::Put,
        SseRequest::Get => Request::Get,
        SseRequest::Head => Request::Head,
        SseRequest::Init => Request::InitiateMultipart,
        SseRequest::Part => Request::UploadPart,
        SseRequest::Copy => Request::Copy,
        SseRequest::Restore => Request::Restore,
        SseRequest::Append => Request::Append,
    };
    let cipher = if args.sm4 { StoreCipher::Sm4 } else { StoreCipher::Aes256 };
    let id = args.key_id.as_deref();
    let context = || args.context.iter().cloned();

    let headers = match args.mode {
        SseMode::Cos => CosSse::managed(cipher).headers(request, scheme),
        SseMode::CosKms => CosSse::kms(id, context()).and_then(|sse| sse.headers(request, scheme)),
        SseMode::CosCustomer => {
            let path = args.key.as_deref().unwrap_or(Path::new(""));
            CosSse::customer(args::customer_key(path)?).headers(request, scheme)
        }
        SseMode::Oss => Ok(OssSse::managed(cipher).headers(request)),
        SseMode::OssKms => OssSse::kms(id, cipher).map(|sse| sse.headers(request)),
    };
    print(&headers.map_err(refused)?)?;
    if let Some(path) = &args.copy_source_key {
        print(&CosSse::copy_source(&args::customer_key(path)?, scheme).map_err(refused)?)?;
    }
    Ok(())
}

/// Rejects arguments that do not apply to the mode, rather than ignoring them.
fn check(args: &args::SseHeaders) -> Result<(), Failure> {
    let kms = matches!(args.mode, SseMode::CosKms | SseMode::OssKms);
    let cos = matches!(args.mode, SseMode::Cos | SseMode::CosKms | SseMode::CosCustomer);
    let misplaced = [
        (args.key_id.is_some() && !kms, "--key-id is only valid with cos-kms and oss-kms"),
        (
            !args.context.is_empty() && args.mode != SseMode::CosKms,
            "--context is only valid with cos-kms",
        ),
        (
            args.key.is_some() != (args.mode == SseMode::CosCustomer),
            "--key is required by cos-customer, and only valid with it",
        ),
        (
            args.sm4 && matches!(args.mode, SseMode::CosKms | SseMode::CosCustomer),
            "--sm4 is only valid with cos, oss and oss-kms",
        ),
        (
            args.copy_source_key.is_some() && !(cos && args.request == SseRequest::Copy),
            "--copy-source-key is only valid with --request copy on COS",
        ),
        (
            args.request == SseRequest::Append && cos,
            "--request append is only valid with oss and oss-kms",
        ),
    ];
    match misplaced.into_iter().find(|(misplaced, _)| *misplaced) {
        Some((_, words)) => Err(Failure::usage(words, "see `envelope sse-headers --help`")),
        None => Ok(()),
    }
}

fn refused(error: SseError) -> Failure {
    Failure::usage(error, "see `envelope sse-headers --help`")
}

fn print(headers: &SseHeaders) -> Result<(), Failure> {
    standard(io::stdout())
        .and_then(|mut stdout| {
            headers.iter().try_for_each(|(name, value)| writeln!(stdout, "{name}: {value}"))
        })
        .map_err(|error| Failure::io("standard output".as_ref(), &error))
}
