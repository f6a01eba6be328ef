//! What any process of ours needs, whatever its job: settings with all faults at once, logs, metrics and the admin
//! port, an orderly end, and a few small tools around files, sockets and time. No word of the cluster's own
//! vocabulary enters here.
//!
//! In reading order: a process reads its [`settings`], starts [`telemetry`], checks [`open_files`], binds what it
//! [`listen`]s on, shows its [`metrics`] on the [`admin`] port, watches its [`memory`], follows a [`watched_file`], waits
//! between attempts with [`backoff`], lets things happen so often with a [`token_bucket`], keeps what is [`due`] later,
//! and ends by [`shutdown`].

pub mod settings;

pub mod telemetry;

pub mod open_files;

pub mod listen;

pub mod metrics;

pub mod admin;

pub mod memory;

pub mod watched_file;

pub mod backoff;

pub mod token_bucket;

pub mod due;

pub mod shutdown;

mod log_writer;

#[cfg(test)]
mod testing;
