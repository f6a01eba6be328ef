//! `campanile gateway`: one gateway in this process.

use std::process::ExitCode;
use std::sync::Arc;

use campanile_gateway::config::{IDENTITY, LIMITS};
use campanile_gateway::{Gateway, Metrics, Settings};
use campanile_process::settings::arguments;
use clap::{ArgMatches, Command};

use crate::cluster::{counting, follow_rules, gateway_registry, resolve};
use crate::common::{self, Common, SETTINGS};
use crate::files::RingSource;

/// The subcommand and its options.
pub(crate) fn command() -> Command {
    let command = Command::new("gateway")
        .about("Run a gateway: holds clients' WebSockets and routes their topics to the topic servers of the ring")
        .after_help(
            "Example:\n  campanile gateway --listen 127.0.0.1:4000 --ring ring.toml --admin 127.0.0.1:9400\n\n\
             Clients connect to ws://HOST:PORT/socket/websocket?vsn=2.0.0; the page at http://HOST:PORT/ tries it.\n\n\
             With --redis 127.0.0.1:6379 it also speaks the pub/sub commands of Redis, on the same topics:\n  \
             redis-cli -p 6379 SUBSCRIBE news",
        );
    arguments(arguments(arguments(command, IDENTITY), SETTINGS), LIMITS)
}

/// Runs it until a signal ends it.
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    common::run(|| {
        let ((common, listen, redis, settings, source), config) =
            resolve(matches, &[IDENTITY, SETTINGS, LIMITS], |resolver| {
                let common = Common::resolve(resolver);
                let name = resolver.text("name");
                let settings = Settings::resolve(resolver, name, common.drain);
                let source = RingSource::load_or_fault(common.ring.as_deref(), resolver);
                (common, resolver.address("listen"), resolver.address("redis"), settings, source)
            })?;
        let files = common.start(true)?;
        source.log();
        Ok(async move {
            let shutdown = common::signals()?;
            // A default is there, and a fault would have ended this above.
            let Some(listen) = listen else { return Ok(()) };
            let listener = common::bind(listen, "--listen").await?;
            let redis = match redis {
                Some(redis) => Some(common::bind(redis, "--redis").await?),
                None => None,
            };
            let address = listener.local_addr().unwrap_or(listen);
            let name = settings.name.clone().unwrap_or_else(|| address.to_string());
            let memory = common.watch_memory(&shutdown.now);
            let settings = Settings { name: Some(name.clone()), memory: memory.pressure(), ..settings };
            let settings = settings.for_open_files(files.connections);
            let metrics = Arc::new(Metrics::default());
            let feed = source.follow(&shutdown, counting(&metrics.rings_refused));
            let rules = follow_rules(config, &shutdown, counting(&metrics.configs_refused));
            let gateway = Gateway::new(settings, feed, rules, metrics, shutdown.clone());
            let registry = gateway_registry(&gateway, &name);
            common::serve_admin(common.admin, vec![registry], gateway.readiness(), &memory, &shutdown.now)
                .await?;
            common::announce("gateway", &listener);
            if let Some(redis) = &redis {
                common::announce("redis", redis);
            }
            gateway.with_redis(redis).run(listener).await;
            Ok(())
        })
    })
}
