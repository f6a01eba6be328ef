//! Real files and real watches. A change is awaited under a generous outer limit, never slept for.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use tokio::time::timeout;

use super::*;
use crate::testing::Folder;

const LONG: Duration = Duration::from_secs(20);

struct Watched {
    folder: Folder,
    file: WatchedFile,
    reload: watch::Sender<u64>,
}

impl Watched {
    /// Follows `file` in a new folder, where it holds `one`.
    fn start() -> Watched {
        let folder = Folder::new();
        fs::write(folder.path("file"), "one").unwrap();
        let (reload, receiver) = watch::channel(0);
        let file = WatchedFile::follow(folder.path("file"), "one".into(), receiver);
        Watched { folder, file, reload }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    async fn changed(&mut self) -> Result<String, ErrorKind> {
        let changed = timeout(LONG, self.file.changed()).await.expect("a change is reported");
        changed.map_err(|error| error.kind())
    }
}

fn rename_over(path: &Path, text: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

#[tokio::test]
async fn an_edit_in_place_and_a_rename_are_reported() {
    let mut watched = Watched::start();
    fs::write(watched.path("file"), "two").unwrap();
    assert_eq!(watched.changed().await, Ok("two".into()));
    rename_over(&watched.path("file"), "three");
    assert_eq!(watched.changed().await, Ok("three".into()));
    // Still followed after the rename.
    rename_over(&watched.path("file"), "four");
    assert_eq!(watched.changed().await, Ok("four".into()));
}

#[tokio::test]
async fn an_edit_before_the_first_look_is_reported() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "two").unwrap();
    let mut file = WatchedFile::follow(folder.path("file"), "one".into(), watch::channel(0).1);
    assert_eq!(timeout(LONG, file.changed()).await.unwrap().unwrap(), "two");
}

#[tokio::test]
async fn a_swapped_folder_link_is_reported() {
    let folder = Folder::new();
    for (data, text) in [("data-1", "one"), ("data-2", "two")] {
        fs::create_dir(folder.path(data)).unwrap();
        fs::write(folder.path(data).join("file"), text).unwrap();
    }
    symlink("data-1", folder.path("..data")).unwrap();
    symlink("..data/file", folder.path("file")).unwrap();
    let mut file = WatchedFile::follow(folder.path("file"), "one".into(), watch::channel(0).1);
    symlink("data-2", folder.path("..new")).unwrap();
    fs::rename(folder.path("..new"), folder.path("..data")).unwrap();
    assert_eq!(timeout(LONG, file.changed()).await.unwrap().unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn what_the_watch_cannot_see_is_found_by_polling() {
    // The link's target lies in a folder that nobody watches. The clock stands while the file is read.
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    fs::write(elsewhere.path("target"), "one").unwrap();
    symlink(elsewhere.path("target"), folder.path("file")).unwrap();
    let mut file = WatchedFile::follow(folder.path("file"), "one".into(), watch::channel(0).1);
    for text in ["two", "three"] {
        fs::write(elsewhere.path("target"), text).unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(timeout(LONG, file.changed()).await.unwrap().unwrap(), text);
        assert!(start.elapsed() <= Duration::from_millis(700), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn an_edit_is_reported_within_a_second() {
    let mut watched = Watched::start();
    // The machine may be busy at one moment, but not at each of five.
    let mut best = LONG;
    for round in 0..5 {
        let start = Instant::now();
        rename_over(&watched.path("file"), round.to_string());
        assert_eq!(watched.changed().await, Ok(round.to_string()));
        best = best.min(start.elapsed());
    }
    assert!(best < Duration::from_secs(1), "{best:?}");
}

#[tokio::test]
async fn the_folder_is_watched() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "one").unwrap();
    let stirred = Arc::default();
    let watcher = watch_folder(&folder.path("file"), &stirred);
    rename_over(&folder.path("file"), "two");
    timeout(LONG, stirred.notified()).await.expect("a rename stirs the folder");
    drop(watcher);
    assert!(watch_folder(&folder.path("none/file"), &stirred).is_none());
    assert!(watch_folder(Path::new("file"), &stirred).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_is_reported_once_and_its_return_too() {
    let mut watched = Watched::start();
    fs::remove_file(watched.path("file")).unwrap();
    assert_eq!(watched.changed().await, Err(ErrorKind::NotFound));
    // Several polls later it is still missing: the next thing reported is that it is back.
    assert!(timeout(POLL * 3, watched.file.changed()).await.is_err());
    fs::write(watched.path("file"), "one").unwrap();
    assert_eq!(watched.changed().await, Ok("one".into()));
}

#[tokio::test]
async fn a_reload_reports_again_what_is_wrong() {
    let mut watched = Watched::start();
    fs::remove_file(watched.path("file")).unwrap();
    assert_eq!(watched.changed().await, Err(ErrorKind::NotFound));
    watched.reload.send_modify(|count| *count += 1);
    assert_eq!(watched.changed().await, Err(ErrorKind::NotFound));
}

#[tokio::test]
async fn bad_content_is_an_error_that_says_which() {
    let mut watched = Watched::start();
    rename_over(&watched.path("file"), [b'a', b'\n', 0xff]);
    let error = timeout(LONG, watched.file.changed()).await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::InvalidData, "the file is not UTF-8 (line 2)")
    );
    // 16 MiB and one byte, without writing them.
    let new = watched.path("new");
    fs::File::create(&new).unwrap().set_len((16 << 20) + 1).unwrap();
    fs::rename(&new, watched.path("file")).unwrap();
    assert_eq!(watched.changed().await, Err(ErrorKind::FileTooLarge));
    fs::remove_file(watched.path("file")).unwrap();
    fs::create_dir(watched.path("file")).unwrap();
    assert_eq!(watched.changed().await, Err(ErrorKind::InvalidInput));
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let mut watched = Watched::start();
    rename_over(&watched.path("file"), "two");
    let mut waits = 0;
    let found = timeout(LONG, async {
        loop {
            waits += 1;
            if let Ok(found) = timeout(Duration::from_millis(5), watched.file.changed()).await {
                return found.unwrap();
            }
        }
    });
    assert_eq!(found.await.unwrap(), "two");
    assert!(waits > 5, "{waits}");
}

/// The rule for settling, on a clock that only moves when all wait: each look finds what was put there before it.
#[tokio::test(start_paused = true)]
async fn only_two_equal_looks_in_a_row_count() {
    let folder = Folder::new();
    let path = folder.path("file");
    fs::write(&path, "half").unwrap();
    let mut follower = unwatched(&path, "old");
    let writer = async {
        sleep(SETTLE / 2).await;
        fs::write(&path, "half and more").unwrap();
        sleep(SETTLE).await;
        fs::write(&path, "whole").unwrap();
    };
    let start = tokio::time::Instant::now();
    let (look, ()) = tokio::join!(follower.settled(), writer);
    assert_eq!(look, Look::Text("whole".into()));
    assert!(start.elapsed() >= SETTLE * 3, "{:?}", start.elapsed());
}

fn unwatched(path: &Path, seen: &str) -> Follower {
    Follower {
        path: path.to_owned(),
        reported: Look::Text(seen.into()),
        stamp: None,
        reload: watch::channel(0).1,
        stirred: Arc::default(),
        watcher: None,
    }
}

/// What an edit cannot help to change is the time of the change itself; what was edited just now is read in any case.
#[cfg(unix)]
#[tokio::test]
async fn a_file_is_read_again_only_if_it_may_have_changed() {
    let folder = Folder::new();
    let path = folder.path("file");
    fs::write(&path, "one").unwrap();
    let mut follower = unwatched(&path, "one");
    assert_eq!(follower.settled().await, Look::Text("one".into()));
    assert_eq!(follower.stamp, None, "edited just now");

    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let make_old = || fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    make_old();
    assert_eq!(follower.settled().await, Look::Text("one".into()));
    let stamp = follower.stamp.clone();
    assert!(stamp.is_some());
    let (look, again) = follower.look().await;
    assert_eq!((look, again), (Look::Text("one".into()), stamp));

    fs::write(&path, "two").unwrap();
    make_old();
    assert_eq!(follower.settled().await, Look::Text("two".into()), "same length, same time of modification");
}

#[test]
fn reading_is_no_reason_to_read_again() {
    use notify::event::{CreateKind, ModifyKind, RemoveKind};
    let access = |access| may_change_content(EventKind::Access(access));
    assert!(!access(AccessKind::Open(AccessMode::Any)));
    assert!(!access(AccessKind::Close(AccessMode::Read)));
    assert!(access(AccessKind::Close(AccessMode::Write)));
    assert!(may_change_content(EventKind::Create(CreateKind::Any)));
    assert!(may_change_content(EventKind::Modify(ModifyKind::Any)));
    assert!(may_change_content(EventKind::Remove(RemoveKind::Any)));
    assert!(may_change_content(EventKind::Other));
}
