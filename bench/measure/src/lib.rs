//! What the micro-benchmarks of all crates share: the same pieces of work are timed by criterion (`cargo bench`), or run
//! a fixed number of times so that callgrind can count their instructions (`scripts/instructions`).
//!
//! [`run`] is the `main` of a file in `benches/`; [`data`] is what the pieces work on.

pub mod data;
mod run;

pub use run::{Piece, Work, run};
