//! Settings as the binary has them when nobody gives any.

use std::time::Duration;

use campanile_process::settings::{Resolver, Setting, arguments};
use clap::Command;

/// A gateway's; tests change the fields.
pub(crate) fn gateway(name: &str) -> campanile_gateway::Settings {
    by_default(campanile_gateway::config::LIMITS, |resolver| {
        campanile_gateway::Settings::resolve(resolver, Some(name.to_owned()), Duration::from_secs(10))
    })
}

/// A topic server's.
pub(crate) fn topic_server(name: &str) -> campanile_topic_server::Settings {
    by_default(campanile_topic_server::config::LIMITS, |resolver| {
        campanile_topic_server::Settings::resolve(resolver, name.to_owned(), Duration::from_secs(10))
    })
}

fn by_default<T>(table: &'static [Setting], read: impl FnOnce(&mut Resolver<'_>) -> T) -> T {
    let matches = arguments(Command::new("test"), table).get_matches_from(["test"]);
    let tables = [table];
    let mut resolver = Resolver::new(&matches, &tables, None);
    let settings = read(&mut resolver);
    resolver.finish().unwrap();
    settings
}
