//! Which edits of the ring file a running process adopts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use campanile_process::watched_file::WatchedFile;
use tokio::sync::watch;

use crate::ring::Ring;

/// What becomes of a ring that is offered while another one is in force.
#[derive(Clone, Debug, PartialEq)]
pub enum Adoption {
    /// It is the one in force.
    Unchanged,
    /// It is newer and takes the other's place.
    Newer(Ring),
}

/// Why an offered ring does not take the place of the one in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has the version in force and other content.
    SameVersion(u64),
    /// It has a lower version than the one in force.
    LowerVersion {
        /// The version of the ring that is offered.
        offered: u64,
        /// The version of the ring in force.
        current: u64,
    },
}

/// A change of the ring file, seen through the rules of [`adopt`].
#[derive(Clone, Debug, PartialEq)]
pub enum RingEvent {
    /// The file holds a newer ring, which is in force from now on.
    Adopted(Arc<Ring>),
    /// The file cannot be read, has faults, or holds a ring that is not adopted; the ring in force stays. The
    /// text says why, on one line.
    Refused(String),
    /// After [`RingEvent::Refused`] the file holds the ring in force again.
    Restored,
}

/// A ring file that is followed.
#[derive(Debug)]
pub struct RingFile {
    shown: String,
    file: WatchedFile,
    ring: Arc<Ring>,
    refused: bool,
}

/// Whether `candidate` takes the place of `current`: only a higher version does.
///
/// # Errors
/// The same version with other content, or a lower version.
pub fn adopt(current: &Ring, candidate: Ring) -> Result<Adoption, Refused> {
    let (current_version, offered) = (current.version(), candidate.version());
    if offered > current_version {
        Ok(Adoption::Newer(candidate))
    } else if offered < current_version {
        Err(Refused::LowerVersion { offered, current: current_version })
    } else if candidate.digest() == current.digest() {
        Ok(Adoption::Unchanged)
    } else {
        Err(Refused::SameVersion(offered))
    }
}

impl RingFile {
    /// Follows the file at `path`, whose `text`, as last read, gave the ring in force. A higher number in
    /// `reload` makes it read the file at once. Call it within a tokio runtime.
    pub fn follow(path: PathBuf, text: String, ring: Arc<Ring>, reload: watch::Receiver<u64>) -> Self {
        let shown = path.display().to_string();
        Self { shown, file: WatchedFile::follow(path, text, reload), ring, refused: false }
    }

    /// The ring in force.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Puts a ring in force that came from elsewhere: from now on the file is measured by it.
    pub fn put_in_force(&mut self, ring: Arc<Ring>) {
        self.ring = ring;
    }

    /// Waits for the next change that matters. Cancel safe: after the one wait it acts without another.
    pub async fn next(&mut self) -> RingEvent {
        loop {
            let read =
                self.file.changed().await.map_err(|error| format!("{}: cannot be read: {error}", self.shown));
            if let Some(event) = self.judge(read) {
                return event;
            }
        }
    }

    fn judge(&mut self, read: Result<String, String>) -> Option<RingEvent> {
        let parsed = read.and_then(|text| {
            Ring::parse(&self.shown, &text).map_err(|faults| faults.to_string().replace('\n', "; "))
        });
        let judged = parsed.and_then(|candidate| {
            adopt(&self.ring, candidate).map_err(|refused| format!("{}: {refused}", self.shown))
        });
        let was_refused = std::mem::replace(&mut self.refused, judged.is_err());
        match judged {
            Ok(Adoption::Newer(ring)) => {
                self.ring = Arc::new(ring);
                Some(RingEvent::Adopted(Arc::clone(&self.ring)))
            }
            Ok(Adoption::Unchanged) => was_refused.then_some(RingEvent::Restored),
            Err(why) => Some(RingEvent::Refused(why)),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameVersion(version) => write!(
                f,
                "version {version} is in force with other content; raise the version with every edit"
            ),
            Self::LowerVersion { offered, current } => write!(
                f,
                "version {offered} is lower than version {current}, which is in force; to go back, give the old \
                 content a version above {current}"
            ),
        }
    }
}

impl std::error::Error for Refused {}
