//! What every scenario is given: the program, a folder, how long to take, and where to say what happens.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::process::tool;

/// The surroundings of one scenario.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) program: PathBuf,
    /// For its files; removed afterwards.
    pub(crate) folder: PathBuf,
    pub(crate) short: bool,
    /// How long the main part is to take, if somebody said so.
    pub(crate) seconds: Option<u64>,
    /// Whether this process already has a network of its own.
    pub(crate) inside: bool,
    pub(crate) began: Instant,
}

impl Stage {
    /// One line of progress.
    pub(crate) fn say(&self, what: &str) {
        let _ = writeln!(std::io::stderr(), "  {:6.2} s  {what}", self.began.elapsed().as_secs_f64());
    }

    /// What a part takes in the short form, and by hand.
    pub(crate) fn long(&self, short: u64, full: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.short { short } else { full }))
    }

    /// The most that something may take. The short form runs on machines that have other work, and allows 2 s more: less than
    /// any deadline that somebody might be waiting for.
    pub(crate) fn within(&self, most: Duration) -> Duration {
        most + Duration::from_secs(self.many(2, 0))
    }

    /// A number of the short form, or of the full one.
    pub(crate) fn many<T>(&self, short: T, full: T) -> T {
        if self.short { short } else { full }
    }

    /// Time that belongs to the measurement: a situation that is held for so long.
    pub(crate) async fn hold(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Whether this process may make namespaces and mounts.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An error that skips the scenario unless this is root.
pub(crate) fn need_root(for_what: &str) -> Result<()> {
    match is_root() {
        true => Ok(()),
        false => Err(Failure::Skipped(format!(
            "{for_what} needs root; this is user {}",
            rustix::process::geteuid().as_raw()
        ))),
    }
}

/// Makes sure that something is installed: on Debian, as root, with apt-get.
pub(crate) fn install(stage: &Stage, package: &str, is_there: impl Fn() -> bool) -> Result<()> {
    if !is_there() && is_root() && tool(&["apt-get", "--version"]).is_ok() {
        stage.say(&format!("apt-get install {package}"));
        // Debian's mirrors answer badly now and then: apt-get itself asks again.
        let get = ["apt-get", "-o", "Acquire::Retries=3", "-q"];
        tool(&[&get[..], &["update"]].concat())?;
        tool(&[&get[..], &["install", "-y", "--no-install-recommends", package]].concat())?;
    }
    match is_there() {
        true => Ok(()),
        false => Err(Failure::Skipped(format!("{package} is not installed: apt-get install {package}"))),
    }
}
