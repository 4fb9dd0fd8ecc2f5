//! Contests between contenders that do the same work, in turn, in one process.
//!
//! Clock frequencies drift and other load comes and goes, so a ratio within one round is
//! meaningful, but figures from two runs are not comparable. Each round therefore measures every
//! contender once, in rotating order, in the processor time of the thread. A window in which the
//! thread was interrupted is measured again. The result is the median over all rounds of the ratio
//! within each.

use crate::clock::{frequency, thread_time, wall_time};

/// A competing implementation of the work.
pub struct Contender<'a> {
    name: &'static str,
    work: Box<dyn FnMut() + 'a>,
}

impl<'a> Contender<'a> {
    /// Creates a contender whose `work` does one unit.
    pub fn new(name: &'static str, work: impl FnMut() + 'a) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// The time of each contender in each round.
pub struct Outcome {
    names: Vec<&'static str>,
    /// Seconds per unit, as one row per round with one column per contender.
    rounds: Vec<Vec<f64>>,
    /// The clock frequency in each round, in cycles per second.
    clocks: Vec<f64>,
}

/// The minimum, median and maximum of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The minimum.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// Computes the spread of the figures, of which there must be at least one.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Self {
            min: figures[0],
            median: figures[figures.len() / 2],
            max: figures[figures.len() - 1],
        }
    }
}

/// The length of a window, in seconds: long enough to make the cost of reading the clock
/// negligible, short enough to fit between two interruptions.
const WINDOW: f64 = 0.001_5;

/// Measures every contender once per round.
#[must_use]
pub fn contest(rounds: usize, mut contenders: Vec<Contender<'_>>) -> Outcome {
    let count = contenders.len();
    let mut repeats: Vec<u32> = contenders
        .iter_mut()
        .map(|contender| {
            // Once to warm up, then as many repeats as fill a window.
            (contender.work)();
            let mut repeats = 1;
            while window(contender, repeats).0 < WINDOW && repeats < 1 << 24 {
                repeats *= 2;
            }
            repeats
        })
        .collect();
    let mut outcome = Outcome {
        names: contenders.iter().map(|contender| contender.name).collect(),
        rounds: Vec::new(),
        clocks: Vec::new(),
    };
    for round in 0..rounds {
        let mut times = vec![0.0; count];
        outcome.clocks.push(frequency());
        for turn in 0..count {
            let who = (round + turn) % count;
            let (contender, repeats) = (&mut contenders[who], &mut repeats[who]);
            // Falls back to the best of 20 windows if every one is interrupted.
            let mut best = f64::INFINITY;
            for _ in 0..20 {
                let (cpu, wall) = window(contender, *repeats);
                best = best.min(cpu);
                if wall / cpu < 1.03 {
                    best = cpu;
                    break;
                }
            }
            times[who] = best / f64::from(*repeats);
        }
        outcome.rounds.push(times);
    }
    outcome
}

/// Returns the processor time and the wall time of `repeats` units, in seconds.
fn window(contender: &mut Contender<'_>, repeats: u32) -> (f64, f64) {
    let (cpu, wall) = (thread_time(), wall_time());
    for _ in 0..repeats {
        (contender.work)();
    }
    (thread_time() - cpu, wall_time() - wall)
}

impl Outcome {
    /// Returns the seconds per unit.
    #[must_use]
    pub fn seconds(&self, name: &str) -> Spread {
        let who = self.who(name);
        Spread::of(self.rounds.iter().map(|times| times[who]))
    }

    /// Returns gigabytes (10^9 bytes) per second for units of `bytes` bytes.
    #[must_use]
    pub fn gigabytes(&self, name: &str, bytes: usize) -> Spread {
        let who = self.who(name);
        Spread::of(self.rounds.iter().map(|times| bytes as f64 / times[who] / 1e9))
    }

    /// Returns how many times as fast as `other` a contender is.
    #[must_use]
    pub fn ratio(&self, name: &str, other: &str) -> Spread {
        let (who, other) = (self.who(name), self.who(other));
        Spread::of(self.rounds.iter().map(|times| times[other] / times[who]))
    }

    /// Returns the bytes per clock cycle of the core, for units of `bytes` bytes.
    #[must_use]
    pub fn bytes_per_cycle(&self, name: &str, bytes: usize) -> Spread {
        let who = self.who(name);
        let rounds = self.rounds.iter().zip(&self.clocks);
        Spread::of(rounds.map(|(times, clock)| bytes as f64 / (times[who] * clock)))
    }

    /// Returns the names of the contenders.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied()
    }

    fn who(&self, name: &str) -> usize {
        self.names.iter().position(|each| *each == name).expect("a contender of this contest")
    }
}
