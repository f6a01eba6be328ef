//! A bench's `main`: hands its pieces to criterion, names them, or runs one of them so and so often.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;

/// One operation, done anew with every call.
pub type Work = Box<dyn FnMut()>;

/// A piece of work that is measured: its name, and what makes it ready.
pub type Piece = (&'static str, fn() -> Work);

/// Per piece: long enough for a median that can be trusted, short enough for all pieces within half a minute.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURE: Duration = Duration::from_millis(900);

/// Does what the command line asks for: `--pieces` writes the names; `--count NAME TIMES` makes a piece ready, runs it
/// `TIMES` times to warm up, and as often again within `counted`; all else is criterion's.
pub fn run(pieces: &[Piece]) -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--pieces", ..] => list(pieces),
        ["--count", name, times, ..] => count(pieces, name, times),
        _ => {
            time(pieces);
            ExitCode::SUCCESS
        }
    }
}

fn list(pieces: &[Piece]) -> ExitCode {
    let mut names = String::new();
    for (name, _) in pieces {
        let _ = writeln!(names, "{name}");
    }
    match io::stdout().write_all(names.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn count(pieces: &[Piece], name: &str, times: &str) -> ExitCode {
    let piece = pieces.iter().find(|(own, _)| *own == name);
    let (Some((_, ready)), Ok(times)) = (piece, times.parse()) else {
        return ExitCode::from(2);
    };
    let mut work = ready();
    for _ in 0..times {
        work();
    }
    counted(&mut work, times);
    ExitCode::SUCCESS
}

/// What callgrind counts, by this function's name: all between its begin and its end, and nothing else.
#[inline(never)]
fn counted(work: &mut Work, times: u64) {
    for _ in 0..times {
        work();
    }
}

fn time(pieces: &[Piece]) {
    let criterion = Criterion::default().without_plots().warm_up_time(WARM_UP).measurement_time(MEASURE);
    let mut criterion = criterion.configure_from_args();
    for (name, ready) in pieces {
        let mut work = None;
        criterion.bench_function(name, |bencher| bencher.iter(work.get_or_insert_with(ready)));
    }
    criterion.final_summary();
}
