//! What is done in a sync.

use std::sync::Arc;

use envelope_store::bulk::{Deletions, Item, Outcome};

use super::{
    super::{get_tree::Downloads, put_tree::FileUploads},
    steps::Step,
};
use crate::contents::Contents;

/// What is done in an upload.
pub(super) struct UploadWork {
    pub(super) files: FileUploads,
    pub(super) deletions: Deletions,
    pub(super) content: Option<Contents>,
}

impl UploadWork {
    pub(super) async fn outcome(&self, item: Item<Step>) -> Result<Outcome, Outcome> {
        match item.source {
            Step::UploadUnlessSame(file) => {
                let is_same = match &self.content {
                    Some(contents) => contents
                        .are_same(&item.key, &file.path)
                        .await
                        .map_err(|error| Outcome::failed(&error))?,
                    None => self.files.is_same(&item.key, file.modified).await?,
                };
                match is_same {
                    true => Ok(Outcome::new(Outcome::SAME)),
                    false => self.files.upload(&item.key, &file.path, file.modified).await,
                }
            }
            Step::Upload(file, _) => self.files.upload(&item.key, &file.path, file.modified).await,
            Step::DeleteObject => match self.deletions.delete(item.key).await {
                Ok(()) => Ok(Outcome::new("deleted")),
                Err(error) => Err(Outcome::failed(&*error)),
            },
            step => still(step),
        }
    }
}

/// What is done in a download.
pub(super) struct DownloadWork {
    pub(super) downloads: Option<Arc<Downloads>>,
    pub(super) contents: Option<Contents>,
}

impl DownloadWork {
    pub(super) async fn outcome(&self, item: Item<Step>) -> Result<Outcome, Outcome> {
        let Some(downloads) = &self.downloads else { return still(item.source) };
        match item.source {
            Step::DownloadUnlessSame(object, file) => {
                let Some(contents) = &self.contents else {
                    let outcome = downloads.download(&item.key, object.len, true).await?;
                    let is_same = outcome.status == "already";
                    return Ok(if is_same { Outcome::new(Outcome::SAME) } else { outcome });
                };
                let is_same = contents.are_same(&item.key, &file.path).await;
                match is_same.map_err(|error| Outcome::failed(&error))? {
                    true => Ok(Outcome::new(Outcome::SAME)),
                    false => downloads.download(&item.key, object.len, false).await,
                }
            }
            Step::Download(object, _) if object.key.ends_with('/') && object.len == 0 => {
                let len = object.len;
                Ok(downloads.place(&item.key, len).await)
            }
            Step::Download(object, _) => downloads.download(&item.key, object.len, false).await,
            Step::DeleteFile(path) if downloads.is_input(&path) => {
                Ok(Outcome::new("kept, as this command reads it"))
            }
            Step::DeleteFile(path) => match tokio::fs::remove_file(&path).await {
                Ok(()) => Ok(Outcome::new("deleted")),
                Err(error) => Err(Outcome::failed(&error)),
            },
            step => still(step),
        }
    }
}

/// Returns the outcome of a step that does nothing.
fn still(step: Step) -> Result<Outcome, Outcome> {
    match step {
        Step::PassedOver(what, _) => Ok(Outcome::new(what)),
        Step::Unreadable(error) => Err(Outcome::refused(error)),
        _ => Ok(Outcome::new(Outcome::SAME)),
    }
}
