//! Writes log lines to a file descriptor without ever waiting long for who reads it.
//!
//! A plain blocking write to a pipe that nobody empties would stop the thread that logs, and with it everything that
//! shares its runtime. So each piece is written only once the descriptor says that it has room, and a line that finds
//! none is counted and dropped.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing_subscriber::fmt::MakeWriter;

/// A descriptor that polls as writable takes this much without blocking, if it is a pipe (POSIX PIPE_BUF is at least
/// 512; Linux has 4096 and frees whole pages).
const PIECE: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// How long a line may wait for room when the line before it found some.
const PATIENCE: Duration = Duration::from_millis(20);

/// Hands out [`LogWriter::write`] to the subscriber. Each call of `write` is one whole line.
#[derive(Debug)]
pub(crate) struct LogWriter<F> {
    shared: Arc<Mutex<Shared<F>>>,
}

#[derive(Debug)]
struct Shared<F> {
    file: F,
    json: bool,
    lost: u64,
    /// The last line was cut after some of its pieces were out.
    cut: bool,
}
impl LogWriter<io::Stderr> {
    /// Writes to stderr; `json` is the form of the note on lost lines.
    pub(crate) fn stderr(json: bool) -> Self {
        LogWriter::new(io::stderr(), json)
    }
}

impl<F> LogWriter<F> {
    fn new(file: F, json: bool) -> Self {
        LogWriter { shared: Arc::new(Mutex::new(Shared { file, json, lost: 0, cut: false })) }
    }
}

impl<F: AsFd + Write> Shared<F> {
    fn line(&mut self, line: &[u8]) {
        // While lines are being lost, nobody waits: only the first one in a row pays for the patience.
        let until = Instant::now() + if self.lost == 0 { PATIENCE } else { Duration::ZERO };
        if self.lost > 0 {
            let note = self.note();
            if !self.pieces(note.as_bytes(), until) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
            self.cut = false;
        }
        if !self.pieces(line, until) {
            self.lost += 1;
        }
    }

    fn note(&self) -> String {
        let newline = if self.cut { "\n" } else { "" };
        let lost = self.lost;
        match self.json {
            true => format!(
                "{newline}{{\"level\":\"WARN\",\"fields\":{{\"message\":\"log lines lost\",\"lost\":{lost}}}}}\n"
            ),
            false => format!("{newline}WARN log lines lost={lost}: stderr had no room\n"),
        }
    }

    /// Whether all of it went out, or can never: an error (a closed reader, a full disk) is no reason to count.
    fn pieces(&mut self, bytes: &[u8], until: Instant) -> bool {
        for (at, piece) in bytes.chunks(PIECE).enumerate() {
            if !self.has_room(until) {
                self.cut |= at > 0;
                return false;
            }
            if self.file.write_all(piece).is_err() {
                return true;
            }
        }
        true
    }

    fn has_room(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait = Timespec::try_from(left).ok();
            let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
            match poll(&mut fds, wait.as_ref()) {
                Ok(ready) => return ready > 0,
                Err(rustix::io::Errno::INTR) => {}
                // A descriptor that cannot be polled is written to as it is.
                Err(_) => return true,
            }
        }
    }
}

impl<F> Clone for LogWriter<F> {
    fn clone(&self) -> Self {
        LogWriter { shared: Arc::clone(&self.shared) }
    }
}

impl<F: AsFd + Write> Write for LogWriter<F> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.lock().line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, F: AsFd + Write + 'a> MakeWriter<'a> for LogWriter<F> {
    type Writer = LogWriter<F>;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, Read, pipe};

    use super::*;

    fn piped(json: bool) -> (PipeReader, LogWriter<PipeWriter>) {
        let (reader, writer) = pipe().unwrap();
        (reader, LogWriter::new(writer, json))
    }

    fn line(number: usize) -> Vec<u8> {
        format!("{number:0>1000}\n").into_bytes()
    }

    /// Writes until the pipe has no room, and a hundred lines more; how many were lost.
    fn fill(writer: &mut LogWriter<PipeWriter>) -> u64 {
        let mut number = 0;
        while writer.shared.lock().lost == 0 {
            writer.write_all(&line(number)).unwrap();
            number += 1;
        }
        for _ in 0..100 {
            writer.write_all(&line(number)).unwrap();
        }
        writer.shared.lock().lost
    }

    #[test]
    fn a_full_pipe_loses_lines_and_says_so_when_it_has_room() {
        for json in [false, true] {
            let (mut reader, mut writer) = piped(json);
            let lost = fill(&mut writer);
            assert_eq!(lost, 101);
            let mut room = vec![0; 32 << 10];
            reader.read_exact(&mut room).unwrap();
            writer.write_all(b"after\n").unwrap();
            drop(writer);
            let mut rest = String::new();
            reader.read_to_string(&mut rest).unwrap();
            let last: Vec<&str> = rest.lines().rev().take(3).collect();
            assert_eq!(last[0], "after");
            match json {
                true => assert_eq!(
                    last[1],
                    r#"{"level":"WARN","fields":{"message":"log lines lost","lost":101}}"#
                ),
                false => assert_eq!(last[1], "WARN log lines lost=101: stderr had no room"),
            }
            assert_eq!(last[2].len(), 1000, "the line before is whole");
        }
    }

    #[test]
    fn a_line_cut_in_the_middle_ends_before_the_next() {
        let (mut reader, mut writer) = piped(false);
        // Larger than any pipe by default: some pieces go out, the others find no room.
        writer.write_all(&vec![b'x'; 4 << 20]).unwrap();
        let (lost, cut) = {
            let shared = writer.shared.lock();
            (shared.lost, shared.cut)
        };
        assert_eq!((lost, cut), (1, true));
        let mut room = vec![0; 32 << 10];
        reader.read_exact(&mut room).unwrap();
        writer.write_all(b"after\n").unwrap();
        drop(writer);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("x\nWARN log lines lost=1: stderr had no room\nafter\n"));
    }

    #[test]
    fn a_closed_reader_is_no_error() {
        let (reader, mut writer) = piped(false);
        drop(reader);
        writer.write_all(b"nobody reads this\n").unwrap();
        assert_eq!(writer.shared.lock().lost, 0);
    }

    #[test]
    fn the_subscriber_writes_each_event_in_one_call() {
        let (mut reader, writer) = piped(true);
        let subscriber = tracing_subscriber::fmt().json().with_writer(writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || tracing::info!(number = 1, "hello"));
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#""message":"hello","number":1"#), "{text}");
    }
}
