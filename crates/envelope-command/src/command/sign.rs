//! `envelope sign`: prints a URL with which somebody else makes one request.

use std::io;

use envelope_store::{Headers, Location};
use meta_codec::Vendor;

use crate::{
    args::{Sign, SignMethod},
    failure::{Failure, warn},
    header_file,
    output::write_line,
    store::{object, runtime},
};

pub(crate) fn run(args: &Sign) -> Result<(), Failure> {
    let key = object(&args.object)?;
    let headers = match &args.metadata {
        Some(_) if args.method == SignMethod::Get => {
            return Err(Failure::usage("--metadata is for uploads", "use it with --method put"));
        }
        Some(path) => {
            let headers = header_file::pairs(path)?.into_iter();
            let headers = headers.map(|(name, value)| {
                let value = String::from_utf8(value).ok().filter(|value| value.is_ascii());
                let value = value.ok_or_else(|| {
                    Failure::usage(
                        format_args!("{name}: a header in a URL is printable ASCII"),
                        "choose another value",
                    )
                });
                Ok((name.to_ascii_lowercase(), value?))
            });
            headers.collect::<Result<Headers, Failure>>()?
        }
        None => Headers::new(),
    };
    if args.method == SignMethod::Put && headers.is_empty() {
        warn(
            "without --metadata, the object that is uploaded has no envelope, and nobody can \
             decrypt it",
        );
    }
    if args.method == SignMethod::Put
        && matches!(args.object.location, Location::Bucket(Vendor::Cos, _))
    {
        warn(
            "COS takes further headers with this URL: whoever has it can also copy to this object \
             what the access key can read; sign with a key that can do no more than it must",
        );
    }
    let store = args.bucket.store(&args.object.location)?;
    let url = store.presign(args.method.into(), key, &headers, args.expires);
    let url = runtime()?.block_on(url);
    let url = url.map_err(|error| Failure::from(error).about(&args.object))?;
    write_line(&mut io::stdout().lock(), &url)
}
