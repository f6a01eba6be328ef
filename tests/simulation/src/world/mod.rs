//! The cluster in one thread: its processes, the network between them, and a queue of what happens when. Nothing here
//! reads a clock; equal seeds make equal runs.

mod cluster;
mod event;

mod ending;
mod operations;
mod parted;
mod processes;

pub(crate) use cluster::World;
pub(crate) use event::{Event, Woken};
