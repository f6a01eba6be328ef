//! Logs: to stderr, for people when it is a terminal and as JSON lines otherwise.

use std::io::IsTerminal;

use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::log_writer::LogWriter;
use crate::settings::Fault;

/// Starts logging for the whole process. `filter` is what `--log` takes: a level, or directives such as
/// `info,hyper=warn`. A second call checks its filter and changes nothing else.
///
/// A stderr that is full or closed costs log lines, never the process: see the note on lost lines that follows once
/// it can be written again.
///
/// # Errors
/// A filter that does not parse, as a fault of `--log`.
pub fn start(filter: &str) -> Result<(), Fault> {
    let filter = parse(filter)?;
    let terminal = std::io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(LogWriter::stderr(!terminal)).log_internal_errors(false);
    let layer = if terminal { layer.with_ansi(true).boxed() } else { layer.json().boxed() };
    // Only a second start in one process can fail here: the first one stands.
    let _ = registry().with(layer).with(filter).try_init();
    Ok(())
}

/// Whether [`start`] takes this filter, so that its fault can be named with those of other settings.
///
/// # Errors
/// A filter that does not parse, as a fault of `--log`.
pub fn check(filter: &str) -> Result<(), Fault> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, Fault> {
    let possible = if STATIC_MAX_LEVEL < LevelFilter::TRACE { lowered(filter) } else { filter.to_owned() };
    match EnvFilter::builder().parse(possible) {
        Ok(parsed) if !filter.trim().is_empty() => Ok(parsed),
        Ok(_) => Err(Fault::new("--log", "is empty; give a level such as info")),
        Err(error) => {
            let advice =
                "give a level (error, warn, info, debug, trace) or directives such as info,hyper=warn";
            Err(Fault::new("--log", format!("{filter:?} is not a filter ({error}); {advice}")))
        }
    }
}

/// The same with `debug` for `trace`, for releases, which hold no trace lines. The parser would print a warning about
/// each such directive to stderr, in words of its own, and panic where stderr cannot be written.
fn lowered(filter: &str) -> String {
    let directives = filter.split(',').map(|directive| {
        let (target, level) = directive.rsplit_once('=').unwrap_or(("", directive));
        match (level.trim().eq_ignore_ascii_case("trace") || level.trim() == "5", target) {
            (false, _) => directive.to_owned(),
            (true, "") => "debug".to_owned(),
            (true, target) => format!("{target}=debug"),
        }
    });
    directives.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_reads_trace_as_debug() {
        for (filter, expected) in [
            ("trace", "debug"),
            ("info,hyper=TRACE", "info,hyper=debug"),
            ("trace,[span{field=1}]=trace", "debug,[span{field=1}]=debug"),
            ("5", "debug"),
            ("info,tracer=warn,trace_me", "info,tracer=warn,trace_me"),
        ] {
            assert_eq!(lowered(filter), expected, "{filter}");
        }
    }

    #[test]
    fn a_bad_filter_is_a_fault_of_its_option() {
        for filter in ["info,x=loud", "", " ", "a=b=c"] {
            let fault = start(filter).unwrap_err();
            assert_eq!(check(filter), Err(fault.clone()));
            assert_eq!(fault.place, "--log", "{filter}");
            assert!(fault.text.contains("give a level"), "{fault}");
        }
    }

    #[test]
    fn a_second_start_is_no_error() {
        assert_eq!(start("off"), Ok(()));
        assert_eq!(start("off"), Ok(()));
    }
}
