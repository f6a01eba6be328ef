//! `campanile topic-server`: one topic server in this process.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use campanile_process::settings::{Fault, arguments};
use campanile_topic_server::config::{IDENTITY, LIMITS};
use campanile_topic_server::{Metrics, Settings, TopicServer};
use clap::{ArgMatches, Command};

use crate::cluster::{address_of, counting, follow_rules, resolve, run_topic_server, topic_server_registry};
use crate::common::{self, Common, End, SETTINGS};
use crate::files::RingSource;

/// An edit of the ring file is noticed within this time when somebody asks for it.
const EDIT_GRACE: Duration = Duration::from_millis(250);

/// The subcommand and its options.
pub(crate) fn command() -> Command {
    let command = Command::new("topic-server")
        .about("Run a topic server: owns the topics that the ring gives to its name")
        .after_help("Example:\n  campanile topic-server --name ts-a --ring ring.toml --admin 127.0.0.1:9501");
    arguments(arguments(arguments(command, IDENTITY), SETTINGS), LIMITS)
}

/// Runs it until a signal ends it.
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    common::run(|| {
        let ((common, name, listen, settings, source), config) =
            resolve(matches, &[IDENTITY, SETTINGS, LIMITS], |resolver| {
                let common = Common::resolve(resolver);
                let name = resolver.text("name").unwrap_or_else(|| {
                    resolver.fault(
                        "--name",
                        "is missing; give the server's name in the ring, such as --name ts-a",
                    );
                    String::new()
                });
                let settings = Settings::resolve(resolver, name.clone(), common.drain);
                let source = RingSource::load_or_fault(common.ring.as_deref(), resolver);
                (common, name, resolver.address("listen"), settings, source)
            })?;
        let is_member = source.ring.member(&name).is_some();
        if !is_member && listen.is_none() {
            let names: Vec<_> = source.ring.members().iter().map(|member| member.name()).collect();
            let text = format!(
                "is not in the ring, which has {}; add it to the ring file, or give --listen ADDR to wait as a standby",
                names.join(", ")
            );
            return Err(End::Bad(Fault::new(format!("--name {name}"), text).into()));
        }
        common.start(false)?;
        source.log();
        Ok(async move {
            let shutdown = common::signals()?;
            if !is_member {
                tracing::warn!(name, "not in the ring: waiting as a standby, owning nothing");
            }
            let listener = match listen {
                Some(listen) => common::bind(listen, "--listen").await?,
                None => match address_of(&source.ring, &name).await? {
                    Some(address) => common::bind_as_member(&name, address).await?,
                    // A name that the ring does not have ended above.
                    None => return Ok(()),
                },
            };
            let metrics = Arc::new(Metrics::default());
            let edit_grace = if source.is_file() { EDIT_GRACE } else { Duration::ZERO };
            let feed = source.follow(&shutdown, counting(&metrics.rings_refused));
            let rules = follow_rules(config, &shutdown, counting(&metrics.configs_refused));
            let memory = common.watch_memory(&shutdown.now);
            let settings = Settings { listen, edit_grace, memory: memory.pressure(), ..settings };
            let server = TopicServer::new(settings, feed, rules, metrics, shutdown.clone());
            let registry = topic_server_registry(&server, &name);
            common::serve_admin(common.admin, vec![registry], server.readiness(), &memory, &shutdown.now)
                .await?;
            common::announce("topic-server", &listener);
            run_topic_server(server, listener).await
        })
    })
}
