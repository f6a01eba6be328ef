//! One process that the scenarios started, and ends with them. Signals go to its id and to no other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Failure, Result};
use crate::wait::eventually;

/// How long a process may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that runs, or has ended; killed when dropped. What it writes lies in files.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts this command line. Its outputs go to `NAME.out` and `NAME.err` in the folder; what an earlier process
    /// of that name wrote to stderr stays.
    pub(crate) fn start(
        folder: &Path,
        name: &str,
        command: &[String],
        variables: &[(String, String)],
    ) -> Result<Self> {
        let (program, arguments) = command.split_first().ok_or_else(|| Failure::new("no program"))?;
        let [stdout, stderr] = ["out", "err"].map(|end| folder.join(format!("{name}.{end}")));
        let errors = File::options().create(true).append(true).open(&stderr)?;
        let mut command = Command::new(program);
        // No variable of the person who runs this changes what runs.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CAMPANILE_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).envs(variables.iter().cloned()).current_dir(folder);
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(errors);
        let child =
            command.spawn().map_err(|error| Failure::new(format!("cannot start {program}: {error}")))?;
        Ok(Self { child, stdout, stderr })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// Waits for its line `listening ROLE …`.
    pub(crate) async fn listening(&mut self, role: &str) -> Result<()> {
        let line = format!("listening {role} ");
        let look = async || match self.stdout().contains(&line) {
            true => Ok(()),
            false => Err((self.runs(), last_lines(&self.stderr()))),
        };
        eventually(&line, PATIENCE, look).await
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| Failure::new(format!("cannot signal process {}: {error}", self.id())))
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The exit code, once it has ended by itself.
    pub(crate) async fn code(&mut self, patience: Duration) -> Result<Option<i32>> {
        let look = async || self.child.try_wait().ok().flatten().ok_or(());
        Ok(eventually("the process ends", patience, look).await?.code())
    }

    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that has ended and was waited for is not signalled: the standard library knows.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Runs a tool to its end; an error holds what it wrote to stderr.
pub(crate) fn tool(command: &[&str]) -> Result<String> {
    let (program, arguments) = command.split_first().ok_or_else(|| Failure::new("no program"))?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::new(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{}: {}", command.join(" "), error.trim())))
}
