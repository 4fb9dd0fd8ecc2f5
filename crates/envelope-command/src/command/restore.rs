//! `envelope restore`: restores archived objects.

use std::{io, sync::Arc};

use envelope_store::bulk::{Item, Outcome};
use serde_json::json;

use crate::{
    args::Restore,
    failure::{Failure, one_line},
    many::{self, Engine, Named},
    output::write_line,
    progress::say,
    store::{explain, folder, object, runtime},
};

pub(crate) fn run(args: &Restore) -> Result<(), Failure> {
    if args.recursive {
        return tree(args);
    }
    args.many.refuse(&args.patterns)?;
    let key = object(&args.object)?;
    let store = args.bucket.store(&args.object.location)?;
    if args.status {
        let meta = runtime()?.block_on(store.head(key));
        let failed = |error| Failure::from(error).about(&args.object);
        let meta = meta.map_err(|error| explain(failed(error), &*store, &args.object))?;
        let status = status(meta.restore());
        return write_line(&mut io::stdout().lock(), &one_line(&status));
    }
    let outcome = runtime()?.block_on(store.restore(key, &args.request()));
    outcome.map_err(|error| Failure::from(error).about(&args.object))?;
    say(
        &json!({ "object": args.object.to_string(), "restoring": true, "days": args.days }),
        &format!("{}: the store restores it; it can be read once that is done", args.object),
    );
    Ok(())
}

/// Returns what a store says about restoring an object, in words: its header is
/// `ongoing-request="false", expiry-date="DATE"`.
fn status(header: Option<&str>) -> String {
    let value = |name: &str| {
        let (_, rest) = header?.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0)
    };
    match (value("ongoing-request"), value("expiry-date")) {
        (Some("true"), _) => "restoring".to_owned(),
        (_, Some(date)) => format!("restored until {date}"),
        (Some(_), None) => "restored".to_owned(),
        (None, None) => "not restored".to_owned(),
    }
}

/// Restores all objects below a folder of keys.
fn tree(args: &Restore) -> Result<(), Failure> {
    let from = folder(&args.object);
    let store = args.bucket.store(&from.location)?;
    let engine = Engine::new(&args.many, args.parallel.requests, 0);
    let runtime = runtime()?;
    let filter = args.patterns.filter()?;
    let items = many::named(Arc::clone(&store), &from, filter, &args.named)?;
    let summary = if args.many.dry_run {
        engine.plan(&runtime, items, |item| Named::planned(item, "to restore"))?
    } else {
        let request = args.request();
        let job = json!({ "restore": from.to_string(), "as": format!("{request:?}") });
        let report = many::report(args.many.report.as_deref(), &job)?;
        let report = report.with_location(format!("{}/", from.location));
        let store = engine.store(store);
        engine.run(&runtime, items, report, move |item: Item<Named>| {
            let store = Arc::clone(&store);
            async move {
                if let Err(outcome) = item.source.check(&item.key) {
                    return outcome;
                }
                match store.restore(&item.key, &request).await {
                    Ok(()) => Outcome::new("restoring").with_bytes(item.len).again(),
                    Err(error) if error.is_of_archive() => Outcome::new("not archived").again(),
                    Err(error) => Outcome::failed(&error),
                }
            }
        })?
    };
    many::check_any(&summary, &from)?;
    many::check(&summary, "restored")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stores_say() {
        let date = "Mon, 02 Jan 2023 00:00:00 GMT";
        let done = format!("ongoing-request=\"false\", expiry-date=\"{date}\"");
        assert_eq!(status(Some(&done)), format!("restored until {date}"));
        assert_eq!(status(Some("ongoing-request=\"true\"")), "restoring");
        assert_eq!(status(Some("ongoing-request=\"false\"")), "restored");
        assert_eq!(status(None), "not restored");
    }
}
