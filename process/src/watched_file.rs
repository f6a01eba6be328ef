//! Follows the content of one file: an edit in place, a rename over it, or a swap of a symlink in its folder.
//!
//! The folder is watched, not the file, because an editor that renames a new file over the old one would leave the
//! watch on the old. A poll stands behind it, for file systems that report nothing and links that lead elsewhere.
//! What is found counts only when two looks in a row see the same, so that nobody gets half of a file.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::sleep;

use crate::settings::read_text;

/// The time between two looks that must agree; also the shortest time between any two looks.
const SETTLE: Duration = Duration::from_millis(100);

/// The time between looks when nothing is reported.
const POLL: Duration = Duration::from_millis(500);

/// Clocks of file systems tick at least so often.
const COARSE: Duration = Duration::from_secs(3);

/// A file whose settled changes are reported. Dropping it ends the watch.
#[derive(Debug)]
pub struct WatchedFile {
    found: mpsc::Receiver<io::Result<String>>,
    task: AbortHandle,
}

impl WatchedFile {
    /// Follows `path`, whose content the caller has already `seen`. A count in `reload` that goes up (SIGHUP) makes
    /// it look at once, and report again what keeps the file from being read. Call it within a tokio runtime.
    pub fn follow(path: PathBuf, seen: String, reload: watch::Receiver<u64>) -> WatchedFile {
        let (sender, found) = mpsc::channel(1);
        let task = tokio::spawn(Follower::new(path, seen, reload).run(sender)).abort_handle();
        WatchedFile { found, task }
    }

    /// The next content that the file settles on, other than the last one reported (or `seen`). A file that can be
    /// read again after an error is reported too, whatever it holds. Cancel safe.
    ///
    /// # Errors
    /// The file cannot be read, is not a plain file, is not UTF-8 (`InvalidData`) or is larger than 16 MiB
    /// (`FileTooLarge`): reported once, until that changes. What was good stays good, and the watch goes on.
    pub async fn changed(&mut self) -> Result<String, io::Error> {
        match self.found.recv().await {
            Some(found) => found,
            // Only a runtime that is going down ends the task.
            None => std::future::pending().await,
        }
    }
}

impl Drop for WatchedFile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What one look found; errors are compared by kind and text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Text(String),
    Failed(ErrorKind, String),
}

/// What a file system says of a file that stays what it is. Reading it would be an event for all who watch the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    changed: Option<SystemTime>,
    length: u64,
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

struct Follower {
    path: PathBuf,
    reported: Look,
    /// That of the file in which `reported` was read, if it will change with the next edit.
    stamp: Option<Stamp>,
    reload: watch::Receiver<u64>,
    stirred: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
}

impl Follower {
    fn new(path: PathBuf, seen: String, mut reload: watch::Receiver<u64>) -> Follower {
        reload.mark_unchanged();
        let stirred = Arc::new(Notify::new());
        let watcher = watch_folder(&path, &stirred);
        Follower { path, reported: Look::Text(seen), stamp: None, reload, stirred, watcher }
    }

    async fn run(mut self, sender: mpsc::Sender<io::Result<String>>) {
        loop {
            let look = self.settled().await;
            if look != self.reported {
                self.reported = look.clone();
                if sender.send(look.into()).await.is_err() {
                    return;
                }
            }
            self.wait().await;
        }
    }

    /// What two looks in a row agree on. What was reported already needs no second look.
    async fn settled(&mut self) -> Look {
        let (mut last, mut stamp) = self.look().await;
        while last != self.reported {
            sleep(SETTLE).await;
            let (next, next_stamp) = self.look().await;
            stamp = next_stamp;
            if next == last {
                break;
            }
            last = next;
        }
        self.stamp = stamp;
        last
    }

    /// What the file holds, and its stamp.
    async fn look(&self) -> (Look, Option<Stamp>) {
        let (path, known) = (self.path.clone(), self.stamp.clone());
        let read = move || {
            let metadata = std::fs::metadata(&path)?;
            let stamp = Stamp::of(&metadata);
            if known.is_some() && stamp == known {
                return Ok((None, stamp));
            }
            read_plain(&path, &metadata).map(|text| (Some(text), stamp))
        };
        let failed = |kind, text| (Look::Failed(kind, text), None);
        match spawn_blocking(read).await {
            Ok(Ok((Some(text), stamp))) => (Look::Text(text), stamp),
            Ok(Ok((None, stamp))) => (self.reported.clone(), stamp),
            Ok(Err(error)) => {
                let error: io::Error = error;
                failed(error.kind(), error.to_string())
            }
            Err(error) => failed(ErrorKind::Other, error.to_string()),
        }
    }

    /// Until there is a reason to look again, and no sooner than [`SETTLE`], however busy the folder is.
    async fn wait(&mut self) {
        sleep(SETTLE).await;
        // A folder that was not there to be watched may be there now.
        if self.watcher.is_none() {
            self.watcher = watch_folder(&self.path, &self.stirred);
        }
        let reload = async {
            if self.reload.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        // Nothing is lost when an arm is dropped: a look follows in any case.
        tokio::select! {
            () = reload => {
                self.stamp = None;
                if let Look::Failed(..) = self.reported {
                    // No look finds this, so the next one is reported if it failed again.
                    self.reported = Look::Failed(ErrorKind::Other, String::new());
                }
            }
            () = self.stirred.notified() => {}
            () = sleep(POLL - SETTLE) => {}
        }
    }
}

impl From<Look> for io::Result<String> {
    fn from(look: Look) -> Self {
        match look {
            Look::Text(text) => Ok(text),
            Look::Failed(kind, text) => Err(io::Error::new(kind, text)),
        }
    }
}

/// Nothing if the folder cannot be watched: then the poll alone has to do.
fn watch_folder(path: &Path, stirred: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let stirred = Arc::clone(stirred);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is an event as well, and must not make us read again.
        if event.is_ok_and(|event| may_change_content(event.kind)) {
            stirred.notify_one();
        }
    });
    watcher.and_then(|mut watcher| watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher)).ok()
}

fn may_change_content(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

impl Stamp {
    /// None if an edit that follows at once could leave it as it is: clocks of file systems are coarse.
    fn of(metadata: &Metadata) -> Option<Self> {
        let changed = metadata.modified().ok();
        let age = |at: SystemTime| SystemTime::now().duration_since(at).ok();
        changed.and_then(age).filter(|age| *age > COARSE)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let inode = (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
            Some(Self { changed, length: metadata.len(), inode })
        }
        // Elsewhere nothing tells a file that was put in its place with its old time.
        #[cfg(not(unix))]
        None
    }
}

/// A pipe or a device could keep its reader for ever.
fn read_plain(path: &Path, metadata: &Metadata) -> io::Result<String> {
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this is not a plain file"));
    }
    read_text(path)
}

#[cfg(test)]
mod tests;
