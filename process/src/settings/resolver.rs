//! Flag over variable over file over default, with every fault kept until the end.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{ConfigFile, Fault, Faults, Kind, Setting, value};
use crate::token_bucket::Rate;

/// Gives each setting its value. Where one is wrong, the fault is kept and a harmless value returned, so that the
/// caller reads all of them first and then asks [`Resolver::finish`].
#[derive(Debug)]
pub struct Resolver<'a> {
    matches: &'a ArgMatches,
    settings: Vec<&'static Setting>,
    file: Option<&'a ConfigFile>,
    faults: Faults,
}

/// A value as somebody wrote it, and where.
struct Given {
    place: String,
    text: OsString,
}

impl<'a> Resolver<'a> {
    /// Reads settings of `tables` from what clap matched, the variables and `file`.
    pub fn new(
        matches: &'a ArgMatches,
        tables: &[&'static [Setting]],
        file: Option<&'a ConfigFile>,
    ) -> Resolver<'a> {
        let settings = tables.iter().flat_map(|table| table.iter()).collect();
        Resolver { matches, settings, file, faults: Faults::default() }
    }

    /// A text; nothing if nobody gave one and there is no default.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.parsed(name, |kind, text| match kind {
            Kind::Text => Some(Ok(text.to_owned())),
            _ => None,
        })
    }

    /// A path as it was written; on the command line it need not be UTF-8.
    pub fn path(&mut self, name: &str) -> Option<PathBuf> {
        let setting = self.setting(name)?;
        if setting.kind != Kind::Path {
            self.wrong_kind(setting);
            return None;
        }
        self.given(setting).map(|given| PathBuf::from(given.text))
    }

    /// An address; its port may be 0.
    pub fn address(&mut self, name: &str) -> Option<SocketAddr> {
        self.parsed(name, |kind, text| match kind {
            Kind::Address => Some(value::parse_address(text)),
            _ => None,
        })
    }

    /// A whole number; it is a fault if there is none and no default.
    pub fn count(&mut self, name: &str) -> u64 {
        self.required(name, Resolver::count_if_given).unwrap_or_else(|| self.lowest(name))
    }

    /// A whole number, for a setting that may stay unset.
    pub fn count_if_given(&mut self, name: &str) -> Option<u64> {
        self.parsed(name, |kind, text| match kind {
            Kind::Count { min, max } => Some(value::parse_count(text, min, max)),
            _ => None,
        })
    }

    /// A rate per second and what may come at once, by two settings that may both stay unset: without the second, the
    /// burst is what the rate gives in a second. The second alone is a fault.
    pub fn rate_if_given(&mut self, rate: &str, burst: &str) -> Option<Rate> {
        let before = self.faults.0.len();
        let (per_second, at_once) = (self.count_if_given(rate), self.count_if_given(burst));
        if per_second.is_none() && at_once.is_some() && self.faults.0.len() == before {
            self.fault(self.place(burst), format!("does nothing without --{rate}; give both or neither"));
        }
        per_second.map(|per_second| Rate::new(per_second, at_once.unwrap_or(per_second)))
    }

    /// A number of bytes; it is a fault if there is none and no default.
    pub fn bytes(&mut self, name: &str) -> u64 {
        self.required(name, Resolver::bytes_if_given).unwrap_or_else(|| self.lowest(name))
    }

    /// A number of bytes, for a setting that may stay unset.
    pub fn bytes_if_given(&mut self, name: &str) -> Option<u64> {
        self.parsed(name, |kind, text| match kind {
            Kind::Bytes { min, max } => Some(value::parse_bytes(text, min, max)),
            _ => None,
        })
    }

    /// A span of time; it is a fault if there is none and no default.
    pub fn seconds(&mut self, name: &str) -> Duration {
        self.required(name, Resolver::seconds_if_given)
            .unwrap_or_else(|| Duration::from_secs(self.lowest(name)))
    }

    /// A span of time, for a setting that may stay unset.
    pub fn seconds_if_given(&mut self, name: &str) -> Option<Duration> {
        self.parsed(name, |kind, text| match kind {
            Kind::Seconds { min, max } => Some(value::parse_seconds(text, min, max)),
            _ => None,
        })
    }

    /// One of the setting's words; it is a fault if there is none and no default.
    pub fn choice(&mut self, name: &str) -> &'static str {
        let choose = |resolver: &mut Resolver<'a>, name: &str| {
            resolver.parsed(name, |kind, text| match kind {
                Kind::Choice(words) => Some(value::parse_choice(text, words)),
                _ => None,
            })
        };
        self.required(name, choose).unwrap_or_default()
    }

    /// Where a setting's value comes from, for faults of the caller's own: the flag, the variable, the line of the
    /// file; the flag if it is the default or unset.
    pub fn place(&self, name: &str) -> String {
        let setting = self.settings.iter().find(|setting| setting.name == name);
        match setting.and_then(|setting| self.source(setting)) {
            Some((place, _)) => place,
            None => format!("--{name}"),
        }
    }

    /// Keeps a fault of the caller's own.
    pub fn fault(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.faults.push(Fault::new(place, text));
    }

    /// Keeps faults that were found elsewhere.
    pub fn faults(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.extend(faults);
    }

    /// All that was wrong with what was asked for.
    ///
    /// # Errors
    /// Every fault, in the order of asking.
    pub fn finish(self) -> Result<(), Faults> {
        self.faults.or(())
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl Fn(Kind, &str) -> Option<Result<T, String>>,
    ) -> Option<T> {
        let setting = self.setting(name)?;
        let given = self.given(setting)?;
        let Some(text) = given.text.to_str() else {
            self.fault(given.place, "is not UTF-8; give plain text");
            return None;
        };
        match parse(setting.kind, text) {
            Some(Ok(value)) => Some(value),
            Some(Err(text)) => {
                self.fault(given.place, text);
                None
            }
            None => {
                self.wrong_kind(setting);
                None
            }
        }
    }

    /// Runs a getter of the kind that may stay unset and makes it a fault if nobody gave a value.
    fn required<T>(&mut self, name: &str, get: impl Fn(&mut Self, &str) -> Option<T>) -> Option<T> {
        let before = self.faults.0.len();
        let value = get(self, name);
        if value.is_none()
            && self.faults.0.len() == before
            && let Some(setting) = self.setting(name)
        {
            let (flag, variable, key) = (setting.flag(), setting.variable(), setting.key());
            let bounds = setting.kind.bounds();
            let text = format!("is missing; give {bounds} by {flag}, {variable} or {key} in the config file");
            self.fault(flag, text);
        }
        value
    }

    fn given(&mut self, setting: &'static Setting) -> Option<Given> {
        let (place, text) = match self.source(setting) {
            Some((place, text)) => (place, text),
            None if setting.default.is_empty() => return None,
            None => (format!("the default of {}", setting.flag()), Ok(setting.default.into())),
        };
        match text {
            Ok(text) if text.is_empty() => {
                self.fault(place, "is empty; leave it out or give a value");
                None
            }
            Ok(text) => Some(Given { place, text }),
            Err(text) => {
                self.fault(place, text);
                None
            }
        }
    }

    /// What somebody wrote, and where, in the order of precedence.
    fn source(&self, setting: &Setting) -> Option<(String, Result<OsString, String>)> {
        // An argument that this command does not have at all is the same as one that nobody gave.
        if let Ok(Some(text)) = self.matches.try_get_one::<OsString>(setting.name) {
            let place = match self.matches.value_source(setting.name) {
                Some(ValueSource::EnvVariable) => setting.variable(),
                _ => setting.flag(),
            };
            return Some((place, Ok(text.clone())));
        }
        let file = self.file?;
        let value = file.value(setting)?;
        Some((file.place(&setting.key()), value.map(OsString::from)))
    }

    fn setting(&mut self, name: &str) -> Option<&'static Setting> {
        let found = self.settings.iter().find(|setting| setting.name == name).copied();
        if found.is_none() {
            self.fault(format!("--{name}"), "is in no table of settings; this is a mistake in the program");
        }
        found
    }

    fn wrong_kind(&mut self, setting: &Setting) {
        self.fault(setting.flag(), "is asked for as another kind; this is a mistake in the program");
    }

    fn lowest(&self, name: &str) -> u64 {
        match self.settings.iter().find(|setting| setting.name == name).map(|setting| setting.kind) {
            Some(Kind::Count { min, .. } | Kind::Bytes { min, .. } | Kind::Seconds { min, .. }) => min,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
