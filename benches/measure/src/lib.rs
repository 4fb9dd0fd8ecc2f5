//! Honest measurement on a machine that is not quiet.

pub mod clock;
pub mod contest;
