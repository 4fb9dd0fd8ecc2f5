//! `envelope rm`: deletes objects.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
};

use envelope_store::{
    Address, StopSignal, Store, StoreError,
    blocking::Runtime,
    bulk::{Deletions, Item, Outcome},
    list_versions,
};
use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::{
    args::{AtVersion, Rm},
    cleanup,
    failure::{Code, Failure, one_line, warn},
    many::{self, Engine, Named},
    store::{folder, object, runtime},
};

pub(crate) fn run(args: &Rm) -> Result<(), Failure> {
    let runtime = runtime()?;
    if args.recursive {
        return trees(args, &runtime);
    }
    args.many.refuse(&args.patterns)?;
    for address in &args.objects {
        object(address)?;
    }
    if let (Some(version_id), [_, _, ..]) = (&args.version_id, args.objects.as_slice()) {
        return Err(Failure::usage(
            format_args!("{version_id} is a version of one object"),
            "give one address with --version-id",
        ));
    }
    let version = AtVersion { version_id: args.version_id.clone() };
    for address in &args.objects {
        let store = args.bucket.store_of(address, &version)?;
        let outcome = match &args.version_id {
            Some(id) if !args.force => {
                runtime.block_on(delete_version(Arc::clone(&store), &address.key, id))
            }
            Some(_) => runtime.block_on(store.delete(&address.key)),
            None => runtime.block_on(delete(&*store, &address.key, args.force)),
        };
        outcome.map_err(|error| Failure::from(error).about(address))?;
    }
    Ok(())
}

/// Deletes all objects below several folders of keys, one after the other. An interrupt ends all of
/// it, whatever became of the folder at which it came.
fn trees(args: &Rm, runtime: &Runtime) -> Result<(), Failure> {
    let mut stop = None;
    let mut outcome = Ok(());
    for (at, address) in args.objects.iter().enumerate() {
        let of_one = tree(args, runtime, &folder(address), &mut stop);
        if let (Err(failure), Err(_)) = (&of_one, &outcome) {
            // Only one failure can be the last word.
            warn(failure.cause());
        }
        outcome = outcome.and(of_one);
        let left = args.objects.len().saturating_sub(at).saturating_sub(1);
        if left > 0 && stop.as_ref().is_some_and(StopSignal::is_stopped) {
            if let Err(failure) = outcome {
                warn(failure.cause());
            }
            return Err(Failure::new(
                Code::Interrupted,
                format_args!("interrupted: {left} of the addresses were not begun"),
                "the same command does the rest",
            ));
        }
    }
    outcome
}

/// Deletes one object, which must be there unless that does not matter.
async fn delete(store: &dyn Store, key: &str, force: bool) -> Result<(), StoreError> {
    if !force {
        store.head(key).await?;
    }
    store.delete(key).await
}

/// Deletes one version, which must be there. A mark of a deletion is one, too, but no object that
/// could be looked at.
async fn delete_version(store: Arc<dyn Store>, key: &str, id: &str) -> Result<(), StoreError> {
    let mut versions = list_versions(Arc::clone(&store), key);
    while let Some(version) = versions.try_next().await? {
        if version.entry.key != key {
            break;
        }
        if version.id == id {
            return store.delete(key).await;
        }
    }
    Err(StoreError::NotFound)
}

/// Deletes all objects below a folder of keys. The signal to `stop` is that of all folders, unless
/// somebody is asked before each.
fn tree(
    args: &Rm,
    runtime: &Runtime,
    from: &Address,
    stop: &mut Option<StopSignal>,
) -> Result<(), Failure> {
    let store = args.bucket.store(&from.location)?;
    if !args.many.dry_run {
        confirm(args, runtime, &*store, from)?;
    }
    if !args.yes {
        // While somebody was asked, a signal ended the process.
        *stop = None;
    }
    let stop = stop.get_or_insert_with(many::interrupts).clone();
    let mut engine = Engine::stopped_by(stop, &args.many, args.parallel, 0);
    let items =
        many::named_with_own(Arc::clone(&store), from, args.patterns.filter()?, &args.named)?;
    let summary = if args.many.dry_run {
        engine.plan(runtime, items, |item| Named::planned(item, "to delete"))?
    } else {
        let report = many::report(args.many.report.as_deref(), &json!({ "rm": from.to_string() }))?;
        let report = report.with_location(format!("{}/", from.location));
        let deletions = Deletions::new(engine.store(store));
        engine = engine.with_objects(Deletions::AT_ONCE.saturating_mul(args.parallel.into()));
        engine.run(runtime, items, report, move |item: Item<Named>| {
            let deletions = deletions.clone();
            async move {
                if let Err(outcome) = item.source.check(&item.key) {
                    return outcome;
                }
                match deletions.delete(item.key).await {
                    Ok(()) => Outcome::new("deleted").with_bytes(item.len),
                    Err(error) => Outcome::failed(&*error),
                }
            }
        })?
    };
    if !args.force {
        many::check_any(&summary, from)?;
    }
    many::check(&summary, "deleted")
}

/// Asks the person at the terminal.
fn confirm(args: &Rm, runtime: &Runtime, store: &dyn Store, from: &Address) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let unasked =
        || Failure::usage("nothing was deleted", "confirm with `y`, or use --yes to not be asked");
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(
            format_args!("all objects below {from} would be deleted, and nobody can be asked"),
            "use --yes; --dry-run shows the objects",
        ));
    }
    let count = match &args.named.inventory {
        Some(path) => format!("those that {} lists", path.display()),
        None => {
            let page = runtime.block_on(store.list(&from.key, None));
            let page = page.map_err(|error| Failure::from(error).about(from))?;
            let more = if page.next.is_some() { " or more" } else { "" };
            format!("{}{more} in all", page.entries.len())
        }
    };
    let (place, which) = (one_line(&from.to_string()), one_line(&args.patterns.to_string()));
    // Whoever is asked may answer with a signal, which is told on standard error, too.
    cleanup::on_interrupt_end();
    let _ = write!(io::stderr(), "Delete objects below {place}{which} ({count})? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Failure::io("-".as_ref(), &error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(unasked()),
    }
}
