//! Limits of speed: of requests, of bytes, of calls to a KMS.

use std::{fmt, num::NonZeroU32, sync::Arc, thread, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use tokio::sync::Mutex;

/// The most of something that may happen in a second. Clones share the limit.
///
/// What was not used is saved for one second, and no longer. Everybody has to wait for their turn,
/// in the order in which they asked.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use envelope_store::RateLimit;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let limit = RateLimit::per_second(NonZeroU32::new(1000).unwrap());
/// limit.take(20).await;
/// # }
/// ```
#[derive(Clone)]
pub struct RateLimit {
    limiter: Arc<DefaultDirectRateLimiter>,
    most: NonZeroU32,
    /// Held by whoever is next, so that many small takers cannot starve a large one.
    turn: Arc<Mutex<()>>,
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimit").field(&self.most).finish()
    }
}

impl RateLimit {
    /// Creates a limit of `most` a second.
    #[must_use]
    pub fn per_second(most: NonZeroU32) -> Self {
        let limiter = Arc::new(RateLimiter::direct(Quota::per_second(most)));
        Self { limiter, most, turn: Arc::default() }
    }

    /// Waits until `count` more may happen. If the future is dropped, what it has taken so far
    /// stays taken.
    pub async fn take(&self, count: u64) {
        let _turn = self.turn.lock().await;
        for share in self.shares(count) {
            while let Err(delay) = self.try_take(share) {
                tokio::time::sleep(delay).await;
            }
        }
    }

    /// As [`take`](Self::take), on a thread that may block.
    pub fn take_blocking(&self, count: u64) {
        // Not the lock's own way to block, which refuses to do so for a caller that is run by the
        // runtime, as a master key may be. It needs no runtime.
        let _turn = pollster::block_on(self.turn.lock());
        for share in self.shares(count) {
            while let Err(delay) = self.try_take(share) {
                thread::sleep(delay);
            }
        }
    }

    /// Divides a count into shares, none of which is more than the limit.
    fn shares(&self, count: u64) -> impl Iterator<Item = NonZeroU32> + Send + use<> {
        let (mut left, most) = (count, self.most);
        std::iter::from_fn(move || {
            let share = u32::try_from(left).unwrap_or(u32::MAX).min(most.get());
            left = left.saturating_sub(share.into());
            NonZeroU32::new(share)
        })
    }

    fn try_take(&self, share: NonZeroU32) -> Result<(), Duration> {
        match self.limiter.check_n(share) {
            Ok(Err(not_until)) => Err(not_until.wait_time_from(DefaultClock::default().now())),
            // No share is larger than the limit.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_none_is_larger_than_the_limit() {
        let limit = RateLimit::per_second(NonZeroU32::new(100).unwrap());
        for count in [0, 1, 99, 100, 101, 1000, 1234] {
            let shares: Vec<u32> = limit.shares(count).map(NonZeroU32::get).collect();
            assert_eq!(shares.iter().map(|share| u64::from(*share)).sum::<u64>(), count);
            assert!(shares.iter().all(|share| *share <= 100));
        }
    }

    #[tokio::test]
    async fn more_than_the_limit_has_to_wait() {
        let limit = RateLimit::per_second(NonZeroU32::new(50).unwrap());
        limit.take(50).await;
        let delay = limit.try_take(NonZeroU32::MIN).unwrap_err();
        assert!(delay > Duration::ZERO && delay <= Duration::from_millis(20), "{delay:?}");
        // Clones share it.
        assert!(limit.clone().try_take(NonZeroU32::MIN).is_err());
        let begun = std::time::Instant::now();
        limit.take(10).await;
        let own = limit.clone();
        // As a master key is called that blocks.
        let runtime = tokio::runtime::Handle::current();
        let work = move || runtime.block_on(async { own.take_blocking(10) });
        tokio::task::spawn_blocking(work).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(300));
    }

    #[tokio::test]
    async fn a_large_share_is_not_starved_by_small_ones() {
        let limit = RateLimit::per_second(NonZeroU32::new(1000).unwrap());
        limit.take(1000).await;
        let begun = std::time::Instant::now();
        let large = limit.take(500);
        let small = async {
            for _ in 0..2000 {
                limit.take(1).await;
            }
        };
        tokio::select! {
            () = large => assert!(begun.elapsed() < Duration::from_secs(1)),
            () = small => panic!("the large one has waited for all of the small ones"),
        }
    }
}
