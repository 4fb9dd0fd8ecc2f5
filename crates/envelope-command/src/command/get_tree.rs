//! `envelope get -r`: downloads and decrypts all objects below a folder of keys.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use envelope_core::Decryptor;
use envelope_store::{
    Address, ObjectMeta, OutputFile, OutputOptions, RetryPolicy, Store, TransferError,
    bulk::{Item, Outcome, TargetFolder, is_same_time, modified},
    envelope_of, is_instruction_file, is_same_file,
};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::get::{decryptor, describe, inputs};
use crate::{
    args::Get,
    cleanup,
    failure::Failure,
    many::{self, Engine, ManyProgress, Named},
    store::{folder, refuse_overlap, runtime},
    weakness::WarnedKinds,
};

/// The number of requests in flight.
const PARALLEL: u16 = 16;

pub(crate) fn run(args: Get) -> Result<(), Failure> {
    args.read.version.refuse()?;
    let (many, from) = (&args.many, folder(&args.from));
    let store = args.read.bucket.store(&from.location)?;
    let decryptor = decryptor(&args.read)?;
    let engine = engine(&args);
    let runtime = runtime()?;
    let filter = args.patterns.filter()?;
    let items = many::named(Arc::clone(&store), &from, filter, &args.named)?;
    let summary = if many.dry_run {
        engine.plan(&runtime, items, |item| Named::planned(item, "to download"))?
    } else {
        let root = args.output();
        let work = Downloads::new(&args, &from, decryptor, store, &engine)?;
        let work = Arc::new(work);
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let job = json!({ "get": from.to_string(), "to": root.display().to_string(),
            "as": many::described(many, || describe(&args.read))? });
        let report = many::report(many.report.as_deref(), &job)?;
        let report = report.with_location(format!("{}/", from.location));
        engine.run(&runtime, items, report, move |item| {
            let work = Arc::clone(&work);
            async move { work.outcome(item).await }
        })?
    };
    many::check_any(&summary, &from)?;
    many::check(&summary, "downloaded")
}

/// Returns the engine for downloads.
pub(super) fn engine(args: &Get) -> Engine {
    Engine::new(&args.many, args.parallel.unwrap_or(PARALLEL), args.part_size)
}

/// Downloads of objects to files in a folder.
pub(super) struct Downloads {
    store: Arc<dyn Store>,
    prefix: String,
    target: Mutex<TargetFolder>,
    decryptor: Decryptor,
    /// Files that must not be overwritten.
    inputs: Vec<PathBuf>,
    part_size: u64,
    parallel: u16,
    force: bool,
    retry: RetryPolicy,
    warned: Arc<WarnedKinds>,
    progress: Arc<ManyProgress>,
}

impl Downloads {
    pub(super) fn new(
        args: &Get,
        from: &Address,
        decryptor: Decryptor,
        store: Arc<dyn Store>,
        engine: &Engine,
    ) -> Result<Self, Failure> {
        let root = args.output();
        refuse_overlap(&from.location, root)?;
        let target = TargetFolder::create(root).map_err(|error| Failure::io(root, &error))?;
        Ok(Self {
            store: engine.store(store),
            prefix: from.key.clone(),
            target: Mutex::new(target),
            decryptor,
            inputs: inputs(args),
            part_size: args.part_size,
            parallel: args.parallel.unwrap_or(PARALLEL),
            force: args.force,
            retry: args.read.bucket.retry(),
            warned: Arc::default(),
            progress: Arc::clone(&engine.progress),
        })
    }

    async fn outcome(self: &Arc<Self>, item: Item<Named>) -> Outcome {
        if let Err(outcome) = item.source.check(&item.key) {
            return outcome;
        }
        let len = match item.source.len(&*self.store, &item.key).await {
            Ok(len) => len,
            Err(error) => return Outcome::failed(&error),
        };
        self.place(&item.key, len).await
    }

    /// Downloads an object, or makes the folder that it stands for.
    pub(super) async fn place(self: &Arc<Self>, key: &str, len: u64) -> Outcome {
        if key.ends_with('/') && len == 0 {
            return self.folder(key).await;
        }
        self.download(key, len, true).await.unwrap_or_else(|outcome| outcome)
    }

    /// Makes the folder that an empty object with a slash at its end stands for.
    async fn folder(self: &Arc<Self>, key: &str) -> Outcome {
        let path = key.strip_prefix(&self.prefix).unwrap_or(key).to_owned();
        if path.is_empty() {
            // It stands for the root.
            return Outcome::new("folder");
        }
        let own = Arc::clone(self);
        let made = blocking(move || own.target().place_folder(&path)).await;
        made.map_or_else(|outcome| outcome, |_| Outcome::new("folder"))
    }

    /// Returns whether the file system takes names that differ only in case for the same.
    pub(super) fn folds_case(&self) -> bool {
        self.target().folds_case()
    }

    /// Returns whether a file is one of those that the command reads, which must stay.
    pub(super) fn is_input(&self, path: &Path) -> bool {
        self.inputs.iter().any(|input| is_same_file(input, path))
    }

    fn target(&self) -> MutexGuard<'_, TargetFolder> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Downloads an object. `looks` says whether a file that is there already may be the object, so
    /// that nothing is to be done.
    pub(super) async fn download(
        self: &Arc<Self>,
        key: &str,
        len: u64,
        looks: bool,
    ) -> Result<Outcome, Outcome> {
        let failed = |error: &TransferError| Outcome::failed(error);
        let path = key.strip_prefix(&self.prefix).unwrap_or(key).to_owned();
        let own = Arc::clone(self);
        let path = blocking(move || own.target().place(&path)).await?;
        let there = if looks { tokio::fs::metadata(&path).await.ok() } else { None };
        if let Some(there) = there {
            let is_same = self.is_same(key, &there).await.map_err(|error| failed(&error))?;
            if is_same {
                return Ok(Outcome::new("already").with_bytes(there.len()));
            }
        }
        let options = OutputOptions::new()
            .with_replace(self.force)
            .with_private(true)
            .with_resumable(true)
            .with_inputs(self.inputs.iter().map(PathBuf::as_path));
        let output = blocking(move || OutputFile::create(&path, options)).await?;
        let registered = cleanup::register_output(&output);
        let (warned, progress) = (Arc::clone(&self.warned), Arc::clone(&self.progress));
        let name = key.to_owned();
        let meta = envelope_store::Get::new(Arc::clone(&self.store), key)
            .with_listed_len(len)
            .with_part_size(self.part_size)
            .with_concurrency(self.parallel.into())
            .with_retry(self.retry)
            .with_progress(move |event| progress.transfer(&name, event))
            .with_inspector(move |envelope| warned.warn_once(envelope))
            .to_file(&self.decryptor, &output)
            .await;
        let meta = match meta {
            Ok(meta) => meta,
            Err(error) => {
                let is_instruction = error.is_not_encrypted()
                    && is_instruction_file(&*self.store, key)
                        .await
                        .map_err(|error| Outcome::failed(&error))?;
                return match is_instruction {
                    true => Ok(Outcome::new("instruction file")),
                    false => Err(failed(&error)),
                };
            }
        };
        let bytes = blocking(move || publish(output, &meta)).await?;
        drop(registered);
        Ok(Outcome::new("downloaded").with_bytes(bytes))
    }

    /// Returns whether a file has the length and the time of an object.
    async fn is_same(&self, key: &str, there: &fs::Metadata) -> Result<bool, TransferError> {
        let meta = self.store.head(key).await?;
        let envelope = envelope_of(&*self.store, key, &meta).await?;
        let len = match &envelope {
            None => Some(meta.len),
            Some(envelope) => {
                let content = envelope.content_algorithm();
                content.plain_len(meta.len).or_else(|| envelope.plain_len())
            }
        };
        let times = there.modified().ok().zip(modified(&meta));
        let step = self.target().time_step();
        let is_same_time = times.is_some_and(|(file, kept)| is_same_time(file, kept, Some(step)));
        Ok(there.is_file() && is_same_time && len == Some(there.len()))
    }
}

/// Gives a file the time of its object, and its name.
fn publish(output: OutputFile, meta: &ObjectMeta) -> Result<u64, envelope_store::OutputError> {
    let mut len = 0;
    if let Some(file) = output.file() {
        len = file.metadata().map_or(0, |metadata| metadata.len());
        if let Some(time) = modified(meta) {
            // Some file systems keep no such times, which is no reason to lose the file.
            let _ = file.set_modified(time);
        }
    }
    output.commit()?;
    Ok(len)
}

/// Runs something that blocks.
async fn blocking<T: Send + 'static, E: std::error::Error + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Outcome> {
    match spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|error| Outcome::failed(&error)),
        Err(error) => Err(Outcome::failed(&error)),
    }
}
