//! `envelope verify -r`: runs every possible check on all objects below a folder of keys.

use std::sync::Arc;

use envelope_core::Decryptor;
use envelope_store::{
    Get, RetryPolicy, Store, StoreError, TransferError,
    bulk::{Item, Outcome},
    is_instruction_file,
};
use futures_util::TryStreamExt as _;
use serde_json::json;

use super::get::{checks, decryptor, describe};
use crate::{
    args::Verify,
    failure::Failure,
    many::{self, Engine, ManyProgress, Named},
    protection::Protection,
    store::{folder, runtime},
    weakness::WarnedKinds,
};

/// The most memory that the chunks of one body take.
const PART: u64 = 1 << 20;

pub(crate) fn run(args: &Verify) -> Result<(), Failure> {
    args.read.version.refuse()?;
    let from = folder(&args.from);
    let store = args.read.bucket.store(&from.location)?;
    let decryptor = decryptor(&args.read)?;
    let engine = Engine::new(&args.many, args.parallel.requests, PART);
    let runtime = runtime()?;
    let filter = args.patterns.filter()?;
    let items = many::named(Arc::clone(&store), &from, filter, &args.named)?;
    let summary = if args.many.dry_run {
        engine.plan(&runtime, items, |item| Named::planned(item, "to verify"))?
    } else {
        let job = json!({ "verify": from.to_string(),
            "as": many::described(&args.many, || describe(&args.read))? });
        let report = many::report(args.many.report.as_deref(), &job)?;
        let report = report.with_location(format!("{}/", from.location));
        let work = Arc::new(Work {
            store: engine.store(store),
            decryptor,
            retry: args.read.bucket.retry(),
            warned: Arc::default(),
            progress: Arc::clone(&engine.progress),
            demands_encryption: args.read.accept.demands_encryption(),
        });
        engine.run(&runtime, items, report, move |item: Item<Named>| {
            let work = Arc::clone(&work);
            async move {
                if let Err(outcome) = item.source.check(&item.key) {
                    return outcome;
                }
                let error = match work.verify(&item.key).await {
                    Ok(outcome) => return outcome,
                    Err(error) => error,
                };
                if error.is_not_encrypted() {
                    match work.is_none_of_its_own(&item).await {
                        Ok(Some(word)) => return Outcome::new(word),
                        Ok(None) => {}
                        Err(error) => return Outcome::failed(&error),
                    }
                }
                Outcome::failed(&error)
            }
        })?
    };
    many::check_any(&summary, &from)?;
    many::check(&summary, "verified")
}

/// What is done with each object.
struct Work {
    store: Arc<dyn Store>,
    decryptor: Decryptor,
    retry: RetryPolicy,
    warned: Arc<WarnedKinds>,
    progress: Arc<ManyProgress>,
    demands_encryption: bool,
}

impl Work {
    /// Returns what an object without an envelope is, if it is none of its own. Where encryption is
    /// required, an empty object is one that somebody may have put in the place of another.
    async fn is_none_of_its_own(
        &self,
        item: &Item<Named>,
    ) -> Result<Option<&'static str>, StoreError> {
        if is_instruction_file(&*self.store, &item.key).await? {
            return Ok(Some("instruction file"));
        }
        let is_folder = !self.demands_encryption && Named::is_folder(item, &*self.store).await?;
        Ok(is_folder.then_some("folder"))
    }

    async fn verify(&self, key: &str) -> Result<Outcome, TransferError> {
        let (warned, progress) = (Arc::clone(&self.warned), Arc::clone(&self.progress));
        let name = key.to_owned();
        let result = Get::new(Arc::clone(&self.store), key)
            .with_retry(self.retry)
            .with_progress(move |event| progress.transfer(&name, event))
            .with_inspector(move |envelope| warned.warn_once(envelope))
            .decrypt(&self.decryptor)
            .await?;
        let (meta, envelope) = (result.meta.clone(), result.envelope.clone());
        let (mut plain, mut len) = (result.into_stream(), 0_u64);
        while let Some(chunk) = plain.try_next().await? {
            len = len.saturating_add(chunk.len() as u64);
        }
        let protection = envelope.as_ref().map_or("plain", |it| Protection::of(it).word());
        Ok(Outcome::new("verified")
            .with_bytes(len)
            .with_detail("checked", checks(&meta, envelope.as_ref()))
            .with_detail("protection", protection))
    }
}
