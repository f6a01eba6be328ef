//! Which rings take the place of the one in force, by value and by file.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use campanile_process::shutdown::Shutdown;
use campanile_ring_config::watch::{Adoption, FILE_FIRST, Refused, adopt};
use campanile_ring_config::{FollowedRing, Member, Offers, Ring, RingEvent, RingFile};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

fn ring(version: u64, weight: u32) -> Ring {
    let member = |name: &str, port: u16, weight| Member::new(name, format!("127.0.0.1:{port}"), weight);
    Ring::new(version, 16, vec![member("ts-a", 5001, 1), member("ts-b", 5002, weight)]).unwrap()
}

#[test]
fn only_a_higher_version_is_adopted() {
    let current = ring(5, 1);
    assert_eq!(adopt(&current, ring(6, 1)), Ok(Adoption::Newer(ring(6, 1))));
    assert_eq!(adopt(&current, ring(90, 2)), Ok(Adoption::Newer(ring(90, 2))));
    assert_eq!(adopt(&current, ring(5, 1)), Ok(Adoption::Unchanged));
    assert_eq!(adopt(&current, ring(5, 2)), Err(Refused::SameVersion(5)));
    assert_eq!(adopt(&current, ring(4, 1)), Err(Refused::LowerVersion { offered: 4, current: 5 }));
    assert_eq!(adopt(&current, ring(1, 2)), Err(Refused::LowerVersion { offered: 1, current: 5 }));
}

/// A folder of its own with a ring file in it, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, text: &str) -> Self {
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let folder = Self(folder);
        folder.write(text);
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.join("ring.toml")
    }

    fn write(&self, text: &str) {
        let temporary = self.0.join("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.file()).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_is_read_as_a_whole() {
    let folder = Folder::with("read", &ring(3, 1).to_toml());
    assert_eq!(Ring::read(&folder.file()), Ok((ring(3, 1), ring(3, 1).to_toml())));
    folder.write("version = 0");
    let faults = Ring::read(&folder.file()).unwrap_err().to_string();
    assert_eq!(faults.matches("ring.toml:1: ").count(), 2, "{faults}");
    let faults = Ring::read(&folder.0.join("missing")).unwrap_err().to_string();
    assert!(faults.contains("missing: cannot be read: "), "{faults}");
}

async fn next(file: &mut RingFile) -> RingEvent {
    timeout(Duration::from_secs(20), file.next()).await.unwrap()
}

async fn refusal(file: &mut RingFile) -> String {
    match next(file).await {
        RingEvent::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_followed_and_a_bad_edit_changes_nothing() {
    let first = ring(1, 1);
    let folder = Folder::with("followed", &first.to_toml());
    let (_reload, reloads) = watch::channel(0);
    let mut file = RingFile::follow(folder.file(), first.to_toml(), Arc::new(first), reloads);

    folder.write(&ring(2, 3).to_toml());
    assert_eq!(next(&mut file).await, RingEvent::Adopted(Arc::new(ring(2, 3))));
    assert_eq!(**file.ring(), ring(2, 3));

    folder.write(&ring(3, 3).to_toml().replace("5002", "5001").replace("ts-b", "ts-a"));
    let why = refusal(&mut file).await;
    assert!(why.contains("name \"ts-a\" stands twice") && why.contains("; ") && !why.contains('\n'), "{why}");
    folder.write(&ring(2, 4).to_toml());
    assert!(refusal(&mut file).await.contains("version 2 is in force with other content"));
    folder.write(&ring(1, 4).to_toml());
    assert!(refusal(&mut file).await.contains("version 1 is lower than version 2"));
    assert_eq!(**file.ring(), ring(2, 3));

    fs::remove_file(folder.file()).unwrap();
    assert!(refusal(&mut file).await.contains("ring.toml: cannot be read: "));

    folder.write(&ring(2, 3).to_toml());
    assert_eq!(next(&mut file).await, RingEvent::Restored);
    // The same values in other bytes are no event.
    folder.write(&format!("# A comment.\n{}", ring(2, 3).to_toml()));
    folder.write(&ring(3, 3).to_toml());
    assert_eq!(next(&mut file).await, RingEvent::Adopted(Arc::new(ring(3, 3))));
}

#[tokio::test]
async fn a_ring_from_elsewhere_is_what_the_file_is_measured_by() {
    let first = ring(1, 1);
    let folder = Folder::with("elsewhere", &first.to_toml());
    let (_reload, reloads) = watch::channel(0);
    let mut file = RingFile::follow(folder.file(), first.to_toml(), Arc::new(first), reloads);
    file.put_in_force(Arc::new(ring(7, 2)));
    folder.write(&ring(6, 2).to_toml());
    assert_eq!(next(&mut file).await, RingEvent::Behind { file: 6, current: 7 }, "on its way there");
    folder.write(&ring(5, 2).to_toml());
    assert!(refusal(&mut file).await.contains("version 5 is lower than version 7"), "on its way back");
    folder.write(&ring(7, 1).to_toml());
    assert!(refusal(&mut file).await.contains("version 7 is in force with other content"));
    folder.write(&ring(7, 2).to_toml());
    assert_eq!(next(&mut file).await, RingEvent::Restored);
}

/// A ring file of version 1, followed, and where to offer others.
struct Followed {
    folder: Folder,
    followed: FollowedRing,
    offers: Offers,
    shutdown: Shutdown,
}

impl Followed {
    fn start(name: &str) -> Self {
        let first = ring(1, 1);
        let folder = Folder::with(name, &first.to_toml());
        let (shutdown, (offers, offered)) = (Shutdown::manual(), Offers::new());
        let reload = shutdown.reload.clone();
        let file = RingFile::follow(folder.file(), first.to_toml(), Arc::new(first.clone()), reload);
        let followed = FollowedRing::new(Arc::new(first), Some(file), offered, shutdown.clone());
        Self { folder, followed, offers, shutdown }
    }

    fn offer(&self, ring: Ring) {
        self.offers.offer(Arc::new(ring));
    }

    async fn next(&mut self) -> RingEvent {
        timeout(Duration::from_secs(20), self.followed.next()).await.unwrap()
    }
}

#[tokio::test]
async fn an_offered_ring_is_adopted_when_the_file_does_not_bring_it_in_time() {
    let mut followed = Followed::start("offered");
    let start = Instant::now();
    followed.offer(ring(4, 2));
    assert_eq!(followed.next().await, RingEvent::AdoptedOffer(Arc::new(ring(4, 2))));
    assert!(start.elapsed() >= FILE_FIRST);
    // The file comes after it: told, and no fault.
    followed.folder.write(&ring(3, 2).to_toml());
    assert_eq!(followed.next().await, RingEvent::Behind { file: 3, current: 4 });
    followed.folder.write(&ring(4, 2).to_toml());
    assert_eq!(followed.next().await, RingEvent::Restored);
    followed.folder.write(&ring(5, 2).to_toml());
    assert_eq!(followed.next().await, RingEvent::Adopted(Arc::new(ring(5, 2))));
}

#[tokio::test]
async fn the_file_is_asked_first_for_what_is_offered() {
    let mut followed = Followed::start("file-first");
    let reload = followed.shutdown.reload.clone();
    followed.folder.write(&ring(4, 2).to_toml());
    followed.offer(ring(4, 2));
    assert_eq!(followed.next().await, RingEvent::Adopted(Arc::new(ring(4, 2))));
    assert_eq!(*reload.borrow(), 1, "its file was read at once");
    // Its time is up, and nothing follows.
    assert!(timeout(2 * FILE_FIRST, followed.followed.next()).await.is_err());
}

#[tokio::test]
async fn only_newer_rings_are_adopted_of_those_that_are_offered() {
    let mut followed = Followed::start("newer");
    followed.offer(ring(1, 2));
    assert!(timeout(2 * FILE_FIRST, followed.followed.next()).await.is_err());
    for version in [6, 4, 7, 5] {
        followed.offer(ring(version, version as u32));
    }
    assert_eq!(followed.next().await, RingEvent::AdoptedOffer(Arc::new(ring(7, 7))));
    followed.offer(ring(6, 6));
    assert!(timeout(2 * FILE_FIRST, followed.followed.next()).await.is_err());
}

#[tokio::test]
async fn without_a_file_an_offered_ring_is_adopted_at_once() {
    let (offers, offered) = Offers::new();
    let mut followed = FollowedRing::new(Arc::new(ring(1, 1)), None, offered, Shutdown::manual());
    offers.offer(Arc::new(ring(2, 2)));
    let adopted = timeout(FILE_FIRST / 2, followed.next()).await.unwrap();
    assert_eq!(adopted, RingEvent::AdoptedOffer(Arc::new(ring(2, 2))));
    drop(offers);
    assert!(timeout(FILE_FIRST, followed.next()).await.is_err(), "nobody offers, and it waits");
    // Nobody looks, and nobody waits.
    Offers::ignored().offer(Arc::new(ring(2, 2)));
}
