//! A folder for one test's files, and the ports that stand in them.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::port::ReservedPort;

/// A new, empty folder that is removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    ports: Mutex<Vec<ReservedPort>>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("campanile-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self { path, ports: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A loopback address with a port that is this folder's as long as it lives.
    pub(crate) fn address(&self) -> String {
        let port = ReservedPort::new();
        let address = port.address.to_string();
        self.ports.lock().unwrap().push(port);
        address
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
