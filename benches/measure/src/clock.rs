//! Processor time, wall time and clock frequency.

use std::hint::black_box;

use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// Binds this thread to one processor, so that it does not migrate during a measurement.
pub fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).expect("setting the affinity of this thread");
}

/// Returns the processor time of this thread in seconds.
#[must_use]
pub fn thread_time() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// Returns the wall time in seconds.
#[must_use]
pub fn wall_time() -> f64 {
    seconds(ClockId::Monotonic)
}

fn seconds(id: ClockId) -> f64 {
    let time = clock_gettime(id);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Measures the current clock frequency of the core, in cycles per second.
///
/// The measurement is a chain of dependent operations: a multiplication takes three cycles on every
/// x86-64 processor of the last decade, and the exclusive-or that follows it takes one.
#[must_use]
pub fn frequency() -> f64 {
    const STEPS: u32 = 200_000;
    let factor: u64 = black_box(0x9e37_79b9_7f4a_7c15);
    let start = thread_time();
    let mut x = black_box(1_u64);
    for _ in 0..STEPS {
        x = x.wrapping_mul(factor) ^ factor;
    }
    black_box(x);
    f64::from(STEPS) * 4.0 / (thread_time() - start)
}
