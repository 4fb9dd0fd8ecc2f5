//! Deletions of many objects, a thousand with one request.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::{Store, StoreError};

/// The most objects of one request, which both services set.
const MOST: usize = 1000;
/// How long a request waits for more objects.
const PATIENCE: Duration = Duration::from_millis(20);

/// An object to delete, and where to say what became of it.
type Wish = (String, oneshot::Sender<Result<(), Arc<StoreError>>>);

/// Deletes objects, many with each request, while each caller asks for one and learns what became
/// of it. Clones share the requests.
///
/// ```
/// use std::sync::Arc;
///
/// use envelope_store::{MemoryStore, bulk::Deletions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Arc<envelope_store::StoreError>> {
/// let deletions = Deletions::new(Arc::new(MemoryStore::new()));
/// let (first, second) =
///     futures_util::future::join(deletions.delete("a"), deletions.delete("b")).await;
/// first.and(second)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Deletions {
    store: Arc<dyn Store>,
    wishes: Arc<tokio::sync::OnceCell<mpsc::Sender<Wish>>>,
}

impl Deletions {
    /// The number of objects that should be asked for at once, for each request in flight.
    pub const AT_ONCE: usize = MOST;

    /// Creates deletions in a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, wishes: Arc::default() }
    }

    /// Deletes an object, together with others that are asked for at the same time.
    ///
    /// # Errors
    /// Any error of [`Store::delete_many`], about this object or about the request.
    ///
    /// # Panics
    /// Panics outside a runtime.
    pub async fn delete(&self, key: impl Into<String>) -> Result<(), Arc<StoreError>> {
        let wishes = self.wishes.get_or_init(|| async { start(Arc::clone(&self.store)) }).await;
        let (tell, told) = oneshot::channel();
        let lost = || Arc::new(StoreError::Unavailable("the deletion was given up".to_owned()));
        wishes.send((key.into(), tell)).await.map_err(|_| lost())?;
        told.await.map_err(|_| lost())?
    }
}

/// Starts the task that collects what is asked for. It ends when nobody can ask any more.
fn start(store: Arc<dyn Store>) -> mpsc::Sender<Wish> {
    let (sender, mut receiver) = mpsc::channel::<Wish>(MOST);
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(MOST);
        while receiver.recv_many(&mut batch, MOST).await > 0 {
            let deadline = Instant::now() + PATIENCE;
            while batch.len() < MOST {
                let room = MOST.saturating_sub(batch.len());
                match timeout_at(deadline, receiver.recv_many(&mut batch, room)).await {
                    Ok(more) if more > 0 => {}
                    _ => break,
                }
            }
            tokio::spawn(fulfil(Arc::clone(&store), std::mem::take(&mut batch)));
        }
    });
    sender
}

async fn fulfil(store: Arc<dyn Store>, batch: Vec<Wish>) {
    let (keys, tells): (Vec<String>, Vec<_>) = batch.into_iter().unzip();
    // Nobody may be listening any more, which is no reason to stop.
    match store.delete_many(&keys).await {
        Ok(outcomes) => {
            for (tell, outcome) in tells.into_iter().zip(outcomes) {
                let _ = tell.send(outcome.map_err(Arc::new));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for tell in tells {
                let _ = tell.send(Err(Arc::clone(&error)));
            }
        }
    }
}
