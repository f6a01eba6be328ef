//! Why a scenario gave no figures.

use std::fmt;
use std::io;

/// Why a scenario ended before its figures.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It cannot run here; says what it lacks.
    Skipped(String),
    /// It could not be carried out, which counts as not held.
    Failed(String),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(what) => write!(formatter, "skipped: {what}"),
            Self::Failed(what) => formatter.write_str(what),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}
