//! Which edits of the ring file, and which rings that others tell of, a running process adopts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use campanile_process::shutdown::Shutdown;
use campanile_process::watched_file::WatchedFile;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::offers::Offered;
use crate::ring::Ring;

/// How long the file has to bring a ring that somebody offers before that one is adopted (R1).
pub const FILE_FIRST: Duration = Duration::from_millis(500);

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
    /// After [`RingEvent::Refused`] or [`RingEvent::Behind`] the file holds the ring in force again.
    Restored,
    /// Somebody offered a newer ring, and the file did not bring it in time: it is in force from now on.
    AdoptedOffer(Arc<Ring>),
    /// The file holds a newer ring than before, and the one in force, which was offered, is newer still: it stays.
    Behind {
        /// The version of the ring in the file.
        file: u64,
        /// The version of the ring in force.
        current: u64,
    },
}

/// A ring file that is followed.
#[derive(Debug)]
pub struct RingFile {
    shown: String,
    file: WatchedFile,
    ring: Arc<Ring>,
    /// Version of the newest ring that the file has held.
    held: u64,
    /// The file does not hold the ring in force.
    differs: bool,
}

/// The ring in force, from a file, if there is one, and from offers.
#[derive(Debug)]
pub struct FollowedRing {
    ring: Arc<Ring>,
    file: Option<RingFile>,
    offered: Offered,
    /// Asks for the file to be read.
    shutdown: Shutdown,
    /// An offer, and until when the file may bring it.
    waiting: Option<(Arc<Ring>, Instant)>,
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
        let held = ring.version();
        Self { shown, file: WatchedFile::follow(path, text, reload), ring, held, differs: false }
    }

    /// The ring in force.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Puts a ring in force that came from elsewhere: from now on the file is measured by it.
    pub fn put_in_force(&mut self, ring: Arc<Ring>) {
        self.ring = ring;
        self.differs = true;
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
            let (file, current) = (candidate.version(), self.ring.version());
            if (self.held.saturating_add(1)..current).contains(&file) {
                // On its way to a ring that was offered.
                self.held = file;
                return Ok(Err(RingEvent::Behind { file, current }));
            }
            let adopted = adopt(&self.ring, candidate);
            adopted.map(Ok).map_err(|refused| format!("{}: {refused}", self.shown))
        });
        let holds_it = matches!(judged, Ok(Ok(_)));
        let differed = std::mem::replace(&mut self.differs, !holds_it);
        if holds_it {
            self.held = self.held.max(self.ring.version());
        }
        match judged {
            Ok(Ok(Adoption::Newer(ring))) => {
                self.held = ring.version();
                self.ring = Arc::new(ring);
                Some(RingEvent::Adopted(Arc::clone(&self.ring)))
            }
            Ok(Ok(Adoption::Unchanged)) => differed.then_some(RingEvent::Restored),
            Ok(Err(behind)) => Some(behind),
            Err(why) => Some(RingEvent::Refused(why)),
        }
    }
}

impl FollowedRing {
    /// Follows a file, if there is one, and offers, with this ring in force.
    pub fn new(ring: Arc<Ring>, file: Option<RingFile>, offered: Offered, shutdown: Shutdown) -> Self {
        Self { ring, file, offered, shutdown, waiting: None }
    }

    /// Waits for the next change that matters. Cancel safe.
    pub async fn next(&mut self) -> RingEvent {
        loop {
            let deadline = self.waiting.as_ref().map(|(_, deadline)| *deadline);
            // Nothing is lost when an arm is dropped: each waits for something that is kept elsewhere.
            tokio::select! {
                // The file first: what it holds needs no offer.
                biased;
                event = from_file(&mut self.file) => {
                    if let RingEvent::Adopted(ring) = &event {
                        self.ring = Arc::clone(ring);
                    }
                    return event;
                }
                offer = self.offered.next() => self.consider(offer),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if let Some((ring, _)) = self.waiting.take()
                        && ring.version() > self.ring.version()
                    {
                        return self.put_in_force(ring);
                    }
                }
            }
        }
    }

    /// An offer of a higher version makes the file be read again, and has its time from the first one on.
    fn consider(&mut self, ring: Arc<Ring>) {
        if ring.version() <= self.ring.version() {
            return;
        }
        let wait = if self.file.is_some() { FILE_FIRST } else { Duration::ZERO };
        let deadline = self.waiting.as_ref().map_or_else(|| Instant::now() + wait, |(_, deadline)| *deadline);
        self.waiting = Some((ring, deadline));
        self.shutdown.request_reload();
    }

    fn put_in_force(&mut self, ring: Arc<Ring>) -> RingEvent {
        self.ring = Arc::clone(&ring);
        if let Some(file) = &mut self.file {
            file.put_in_force(Arc::clone(&ring));
        }
        RingEvent::AdoptedOffer(ring)
    }
}

async fn from_file(file: &mut Option<RingFile>) -> RingEvent {
    match file {
        Some(file) => file.next().await,
        None => std::future::pending().await,
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
