//! `envelope sign`: prints a URL with which somebody else makes one request.

use std::io;

use envelope_store::Headers;

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
            let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
            headers.map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect()
        }
        None => Headers::new(),
    };
    if args.method == SignMethod::Put && headers.is_empty() {
        warn(
            "without --metadata, the object that is uploaded has no envelope, and nobody can \
             decrypt it",
        );
    }
    let store = args.bucket.store(&args.object.location)?;
    let url = store.presign(args.method.into(), key, &headers, args.expires);
    let url = runtime()?.block_on(url);
    let url = url.map_err(|error| Failure::from(error).about(&args.object))?;
    write_line(&mut io::stdout().lock(), &url)
}
