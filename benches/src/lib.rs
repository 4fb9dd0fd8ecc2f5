//! The peers.

pub mod peers;
