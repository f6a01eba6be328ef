//! Starts one role inside this process: what `gateway`, `topic-server` and `dev` have in common.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use campanile_gateway::Gateway;
use campanile_process::metrics::{Counter, Registry};
use campanile_process::settings::{Fault, Faults, Resolver, Setting};
use campanile_process::shutdown::Shutdown;
use campanile_ring_config::{Ring, TopicRules};
use campanile_topic_server::TopicServer;
use clap::ArgMatches;

use crate::common::End;
use crate::files::Config;

/// Settings that are known to both roles, so that both can share one config file.
pub(crate) const ALL: &[&[Setting]] = &[
    crate::common::SETTINGS,
    campanile_gateway::config::IDENTITY,
    campanile_gateway::config::LIMITS,
    campanile_topic_server::config::IDENTITY,
    campanile_topic_server::config::LIMITS,
];

/// The config file that flag or variable names, read first: the other settings may stand in it.
fn read_config(matches: &ArgMatches) -> Result<(Option<Config>, Faults), Faults> {
    let mut resolver = Resolver::new(matches, &[crate::common::SETTINGS], None);
    let path = resolver.path("config");
    // Faults of the others are found again when all are resolved.
    drop(resolver);
    match path {
        Some(path) => Config::read(&path, ALL).map(|(config, faults)| (Some(config), faults)),
        None => Ok((None, Faults::default())),
    }
}

/// Resolves settings; faults of the config file come first.
pub(crate) fn resolve<T>(
    matches: &ArgMatches,
    tables: &[&'static [Setting]],
    read: impl FnOnce(&mut Resolver<'_>) -> T,
) -> Result<(T, Option<Config>), End> {
    let (config, config_faults) = read_config(matches).unwrap_or_else(|faults| (None, faults));
    let mut resolver = Resolver::new(matches, tables, config.as_ref().map(|config| &config.file));
    resolver.faults(config_faults);
    let values = read(&mut resolver);
    resolver.finish()?;
    Ok((values, config))
}

/// The topic rules of a config file, followed; every topic is open without one.
pub(crate) fn follow_rules(
    config: Option<Config>,
    shutdown: &Shutdown,
    refused: impl Fn() + Send + 'static,
) -> Arc<ArcSwap<TopicRules>> {
    match config {
        Some(config) => config.follow(ALL.to_vec(), shutdown.reload.clone(), refused),
        None => Arc::default(),
    }
}

/// Where a member of the ring listens.
pub(crate) async fn address_of(ring: &Ring, name: &str) -> Result<Option<SocketAddr>, End> {
    let Some(member) = ring.member(name) else {
        return Ok(None);
    };
    let failed = |text: String| {
        End::Bad(Fault::new(format!("ring: address of {name}, {}", member.address()), text).into())
    };
    let mut found = tokio::net::lookup_host(member.address())
        .await
        .map_err(|error| failed(format!("cannot be looked up: {error}; --listen names another")))?;
    found.next().map(Some).ok_or_else(|| failed("has no address".to_owned()))
}

/// A topic server's registry: several in one process are told apart by their name.
pub(crate) fn topic_server_registry(server: &TopicServer, name: &str) -> Registry {
    let mut registry = labelled("name", name);
    server.register(&mut registry);
    registry
}

/// A gateway's registry.
pub(crate) fn gateway_registry(gateway: &Gateway, name: &str) -> Registry {
    let mut registry = labelled("name", name);
    gateway.register(&mut registry);
    registry
}

fn labelled(label: &'static str, value: &str) -> Registry {
    Registry::with_labels([(label.into(), value.to_owned().into())].into_iter())
}

/// What counts one more on each call.
pub(crate) fn counting(counter: &Counter) -> impl Fn() + Send + 'static {
    let counter = counter.clone();
    move || {
        counter.inc();
    }
}

/// Serves a topic server until its shutdown.
pub(crate) async fn run_topic_server(
    server: TopicServer,
    listener: tokio::net::TcpListener,
) -> Result<(), End> {
    server.run(listener).await.map_err(|error| End::Failed(format!("topic server: {error}")))
}
