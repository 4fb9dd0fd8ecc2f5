//! Benches of the envelope libraries: `cargo bench` in this folder.
