//! Peers for the benchmarks.

pub mod peers;
