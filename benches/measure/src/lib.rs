//! Reliable measurement on a machine with other load.

pub mod clock;
pub mod contest;
