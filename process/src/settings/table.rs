//! The table: what a setting is called, what it may be, and how the command line shows it.

use std::ffi::OsString;

use clap::{Arg, Command, value_parser};

/// One setting: a flag, a variable and a key of the config file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The flag's name without dashes in front, such as `idle-seconds`.
    pub name: &'static str,
    /// The placeholder of the value in help texts, such as `SECONDS`.
    pub value: &'static str,
    /// What the value may be.
    pub kind: Kind,
    /// The value when nobody gives one, written as a user would; empty means none.
    pub default: &'static str,
    /// What it does, as a sentence without bounds and default: those are added.
    pub help: &'static str,
}

/// What a value may be. Bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// A path. A relative one starts at the working folder, also in a config file.
    Path,
    /// `IP:port` or `localhost:port`; port 0 means any free one.
    Address,
    /// A whole number.
    Count {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number of bytes, plain or with the suffix KiB, MiB or GiB.
    Bytes {
        /// Smallest, in bytes.
        min: u64,
        /// Largest, in bytes.
        max: u64,
    },
    /// Whole or decimal seconds.
    Seconds {
        /// Shortest, in seconds.
        min: u64,
        /// Longest, in seconds.
        max: u64,
    },
    /// One of a list of words.
    Choice(&'static [&'static str]),
}

impl Setting {
    /// `--idle-seconds`
    pub fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// `CAMPANILE_IDLE_SECONDS`
    pub fn variable(&self) -> String {
        format!("CAMPANILE_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// `idle_seconds`, as in the config file.
    pub fn key(&self) -> String {
        self.name.replace('-', "_")
    }
}

impl Kind {
    /// The bounds in words, such as `1 to 100` or `any, same`; empty where there are none.
    pub fn bounds(&self) -> String {
        match *self {
            Kind::Text | Kind::Path | Kind::Address => String::new(),
            Kind::Count { min, max } => between(min.to_string(), max, max.to_string()),
            Kind::Bytes { min, max } => between(show_bytes(min), max, show_bytes(max)),
            Kind::Seconds { min, max } => between(min.to_string(), max, max.to_string()),
            Kind::Choice(words) => words.join(", "),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Kind::Count { .. } | Kind::Bytes { .. } | Kind::Seconds { .. })
    }
}

/// Adds one `--name VALUE` argument per setting, with its variable. Values stay as they were written: bounds and
/// defaults are the [`Resolver`](super::Resolver)'s job, so that all faults come at once.
pub fn arguments(command: Command, settings: &'static [Setting]) -> Command {
    command.args(settings.iter().map(|setting| {
        Arg::new(setting.name)
            .long(setting.name)
            .value_name(setting.value)
            .env(setting.variable())
            .hide_env_values(true)
            .value_parser(value_parser!(OsString))
            // So that `--count -5` is refused with the bounds and not as an unknown flag.
            .allow_negative_numbers(setting.kind.is_number())
            .help(help(setting))
    }))
}

fn help(setting: &Setting) -> String {
    let mut help = setting.help.to_owned();
    let bounds = setting.kind.bounds();
    if !bounds.is_empty() {
        help.push_str(&format!(" [{bounds}]"));
    }
    if !setting.default.is_empty() {
        help.push_str(&format!(" [default: {}]", setting.default));
    }
    help
}

fn between(min: String, max: u64, max_shown: String) -> String {
    if max == u64::MAX { format!("{min} or more") } else { format!("{min} to {max_shown}") }
}

/// Bytes with the largest unit that leaves a whole number, as a user may write them.
pub(super) fn show_bytes(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes > 0 && bytes.is_multiple_of(size) {
            return format!("{} {unit}", bytes / size);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: &[Setting] = &[
        Setting {
            name: "idle-seconds",
            value: "SECONDS",
            kind: Kind::Seconds { min: 1, max: 86400 },
            default: "60",
            help: "Close after this long without a sign of life",
        },
        Setting {
            name: "frame-bytes",
            value: "BYTES",
            kind: Kind::Bytes { min: 1024, max: 16 << 20 },
            default: "256 KiB",
            help: "Largest frame",
        },
        Setting { name: "mode", value: "MODE", kind: Kind::Choice(&["a", "b"]), default: "", help: "Mode" },
        Setting {
            name: "most",
            value: "N",
            kind: Kind::Count { min: 1, max: u64::MAX },
            default: "",
            help: "Most",
        },
    ];

    #[test]
    fn help_shows_bounds_default_and_variable() {
        let help = arguments(Command::new("x").term_width(200), TABLE).render_long_help().to_string();
        for part in [
            "--idle-seconds <SECONDS>",
            "Close after this long without a sign of life [1 to 86400] [default: 60]",
            "[env: CAMPANILE_IDLE_SECONDS]",
            "Largest frame [1 KiB to 16 MiB] [default: 256 KiB]",
            "Mode [a, b]",
            "Most [1 or more]",
        ] {
            assert!(help.contains(part), "{part} is not in:\n{help}");
        }
    }

    #[test]
    fn bytes_are_shown_as_they_may_be_written() {
        assert_eq!(show_bytes(0), "0");
        assert_eq!(show_bytes(1000), "1000");
        assert_eq!(show_bytes(1024), "1 KiB");
        assert_eq!(show_bytes(1536), "1536");
        assert_eq!(show_bytes(3 << 30), "3 GiB");
    }
}
