//! What is wrong with a setting or a file, and where: collected, never thrown one at a time.

use std::fmt;

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it came from: `--idle-seconds`, `CAMPANILE_IDLE_SECONDS`, or `campanile.toml:12: idle_seconds`.
    pub place: String,
    /// What is wrong and what to do about it, on one line.
    pub text: String,
}

/// All that is wrong. Shown as one line per fault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(
    /// The faults in the order they were found.
    pub Vec<Fault>,
);

impl Fault {
    /// A fault at `place`.
    pub fn new(place: impl Into<String>, text: impl Into<String>) -> Fault {
        Fault { place: place.into(), text: text.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A fault quotes what somebody wrote: control characters must not break the line or reach a terminal.
        for c in self.place.chars().chain(": ".chars()).chain(self.text.chars()) {
            if c.is_control() {
                write!(out, "{}", c.escape_default())?
            } else {
                fmt::Write::write_char(out, c)?
            }
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl Faults {
    /// Adds one fault.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Adds all faults of another collection, in order.
    pub fn extend(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.0.extend(faults);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` with `value` if nothing is wrong, else all faults.
    pub fn or<T>(self, value: T) -> Result<T, Faults> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            write!(out, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        Faults(vec![fault])
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_fault() {
        let mut faults = Faults::default();
        assert!(faults.is_empty());
        faults.push(Fault::new("--a", "is wrong"));
        faults.extend(Faults::from(Fault::new("b.toml:3: b", "is\nwrong \u{1b}[31mtoo")));
        assert_eq!(faults.to_string(), "--a: is wrong\nb.toml:3: b: is\\nwrong \\u{1b}[31mtoo");
        assert_eq!(faults.clone().or(1), Err(faults));
        assert_eq!(Faults::default().or(1), Ok(1));
    }
}
