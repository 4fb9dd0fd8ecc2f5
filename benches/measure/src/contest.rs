//! Contenders at the same work, in turn, in one process.
//!
//! Clocks drift and neighbours come and go; a ratio within one round means something, two figures of two
//! runs do not. So each round measures every contender once, in an order that rotates, in the processor
//! time of the thread; a window in which the thread was interrupted is measured again; and what counts is
//! the median over the rounds of the ratio within each.

use crate::clock::{frequency, thread_time, wall_time};

/// Somebody who can do the work.
pub struct Contender<'a> {
    name: &'static str,
    work: Box<dyn FnMut() + 'a>,
}

impl<'a> Contender<'a> {
    /// A contender whose `work` does one unit.
    pub fn new(name: &'static str, work: impl FnMut() + 'a) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// What each contender took, in each round.
pub struct Outcome {
    names: Vec<&'static str>,
    /// Seconds for one unit: a round a line, a contender a column.
    rounds: Vec<Vec<f64>>,
    /// The clock in each round, in cycles a second.
    clocks: Vec<f64>,
}

/// The least, the median and the most of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// The spread of figures, of which there must be some.
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

/// The length of a window, in seconds: long enough that the clock's own cost vanishes, short enough to
/// lie between two interruptions.
const WINDOW: f64 = 0.001_5;

/// Measures every contender once a round.
#[must_use]
pub fn contest(rounds: usize, mut contenders: Vec<Contender<'_>>) -> Outcome {
    let count = contenders.len();
    let mut repeats: Vec<u32> = contenders
        .iter_mut()
        .map(|contender| {
            // Once to warm up, then as often as fits a window.
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
            // The best of what is left if it is interrupted every time.
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

/// The processor time and the wall time of some repeats, in seconds.
fn window(contender: &mut Contender<'_>, repeats: u32) -> (f64, f64) {
    let (cpu, wall) = (thread_time(), wall_time());
    for _ in 0..repeats {
        (contender.work)();
    }
    (thread_time() - cpu, wall_time() - wall)
}

impl Outcome {
    /// Seconds for one unit.
    #[must_use]
    pub fn seconds(&self, name: &str) -> Spread {
        let who = self.who(name);
        Spread::of(self.rounds.iter().map(|times| times[who]))
    }

    /// Gigabytes (10^9) a second, if a unit is so many bytes.
    #[must_use]
    pub fn gigabytes(&self, name: &str, bytes: usize) -> Spread {
        let who = self.who(name);
        Spread::of(self.rounds.iter().map(|times| bytes as f64 / times[who] / 1e9))
    }

    /// How many times as fast as another.
    #[must_use]
    pub fn ratio(&self, name: &str, other: &str) -> Spread {
        let (who, other) = (self.who(name), self.who(other));
        Spread::of(self.rounds.iter().map(|times| times[other] / times[who]))
    }

    /// Bytes in a cycle of the core's clock.
    #[must_use]
    pub fn bytes_per_cycle(&self, name: &str, bytes: usize) -> Spread {
        let who = self.who(name);
        let rounds = self.rounds.iter().zip(&self.clocks);
        Spread::of(rounds.map(|(times, clock)| bytes as f64 / (times[who] * clock)))
    }

    /// Who took part.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied()
    }

    fn who(&self, name: &str) -> usize {
        self.names.iter().position(|each| *each == name).expect("a contender of this contest")
    }
}
