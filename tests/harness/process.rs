//! The binary as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{DEADLINE, eventually};

/// A process that runs, or has ended. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

/// `campanile` with these arguments, and no variable of the person who runs the tests.
pub(crate) fn campanile(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CAMPANILE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts it in a folder.
pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Process {
    Process::spawn(campanile(arguments).current_dir(folder))
}

impl Process {
    /// Starts this command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map_or_else(Arc::default, collect);
        let stderr = child.stderr.take().map_or_else(Arc::default, collect);
        Self { child, stdout, stderr }
    }

    /// What it has written to stdout.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What it has written to stderr.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// The address of its line `listening ROLE ADDRESS`.
    pub(crate) async fn listening(&self, role: &str) -> SocketAddr {
        let prefix = format!("listening {role} ");
        let look = async || {
            let stdout = self.stdout();
            let complete = stdout.rsplit_once('\n').map_or("", |(lines, _)| lines);
            let address = complete.lines().find_map(|line| line.strip_prefix(&*prefix));
            address.map(str::to_owned).ok_or_else(|| self.shown())
        };
        eventually(&prefix, DEADLINE, look).await.parse().expect("an address")
    }

    /// Waits until it has logged this.
    pub(crate) async fn says(&self, text: &str) {
        let look = async || {
            if self.stderr().contains(text) { Ok(()) } else { Err(self.shown()) }
        };
        eventually(text, DEADLINE, look).await;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The exit code, once it has ended by itself.
    pub(crate) async fn code(&mut self) -> i32 {
        let look = async || match self.child.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err(()),
        };
        let status = eventually("the process ends", DEADLINE, look).await;
        status.code().unwrap_or_else(|| panic!("ended by {status}: {}", self.shown()))
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has written, for failure messages.
    pub(crate) fn shown(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end on a thread of its own, so that the process never waits for a full pipe.
fn collect(from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let all = Arc::new(Mutex::new(String::new()));
    let collected = Arc::clone(&all);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            collected.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    all
}
