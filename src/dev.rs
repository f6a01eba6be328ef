//! `campanile dev`: a whole cluster in this process, with real links on loopback, to try things out.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use campanile_gateway::Gateway;
use campanile_process::admin::Readiness;
use campanile_process::memory::MemoryGuard;
use campanile_process::metrics::Registry;
use campanile_process::open_files::OpenFiles;
use campanile_process::settings::{Kind, Setting, arguments};
use campanile_process::shutdown::Shutdown;
use campanile_ring_config::{Feed, Ring, TopicRules};
use campanile_topic_server::TopicServer;
use clap::{ArgMatches, Command};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cluster::{
    address_of, follow_rules, gateway_registry, resolve, run_topic_server, topic_server_registry,
};
use crate::common::{self, Common, End, SETTINGS};
use crate::files::RingSource;

/// The settings that only `dev` has.
const DEV: &[Setting] = &[
    Setting {
        name: "gateways",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 100 },
        default: "2",
        help: "Gateways to run",
    },
    Setting {
        name: "topic-servers",
        value: "COUNT",
        kind: Kind::Count { min: 1, max: 100 },
        default: "2",
        help: "Topic servers to run; with --ring it is the file that says so",
    },
    Setting {
        name: "port",
        value: "PORT",
        kind: Kind::Count { min: 0, max: 65_535 },
        default: "4000",
        help: "Port of the first gateway, the others follow; 0 takes free ports for everything",
    },
    Setting {
        name: "redis-port",
        value: "PORT",
        kind: Kind::Count { min: 0, max: 65_535 },
        default: "",
        help: "Port where the first gateway speaks the pub/sub commands of Redis, the others follow, 0 takes free ones; \
               such as 6379. Without it, none does",
    },
];

/// What `dev` was asked for.
struct Wanted {
    common: Common,
    gateways: u16,
    topic_servers: usize,
    port: u16,
    redis_port: Option<u16>,
    gateway: campanile_gateway::Settings,
    topic_server: campanile_topic_server::Settings,
}

impl Wanted {
    /// All gateways share the process: each gets its part of the connections that it can hold.
    fn in_one_process(mut self, files: OpenFiles, memory: &MemoryGuard) -> Self {
        self.gateway.memory = memory.pressure();
        self.topic_server.memory = memory.pressure();
        let part = files.connections / u64::from(self.gateways.max(1));
        Self { gateway: self.gateway.for_open_files(part), ..self }
    }
}

/// A running cluster.
struct Dev {
    gateway_tasks: JoinSet<()>,
    topic_server_tasks: JoinSet<Result<(), End>>,
    /// The topic servers' own: they end after the gateways, whose clients still need them.
    after_gateways: Shutdown,
    registries: Vec<Registry>,
    ready: Vec<Box<dyn Fn() -> Readiness + Send + Sync>>,
    gateways: Vec<SocketAddr>,
    /// Where they speak Redis, if they do.
    redis: Vec<SocketAddr>,
}

/// The subcommand and its options.
pub(crate) fn command() -> Command {
    let command = Command::new("dev")
        .about("Run a whole cluster in this process, on loopback, to try it out (the default)")
        .after_help(
            "Examples:\n  campanile dev --gateways 3 --port 0\n  campanile dev --redis-port 6379\n\n\
             With the latter, redis-cli -p 6379 SUBSCRIBE news and redis-cli -p 6380 PUBLISH news hello meet.",
        );
    let command = arguments(arguments(command, DEV), SETTINGS);
    arguments(arguments(command, campanile_gateway::config::LIMITS), campanile_topic_server::config::LIMITS)
}

/// Runs it until a signal ends it.
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    common::run(|| {
        let tables =
            [DEV, SETTINGS, campanile_gateway::config::LIMITS, campanile_topic_server::config::LIMITS];
        let ((wanted, source), config) = resolve(matches, &tables, |resolver| {
            let common = Common::resolve(resolver);
            // The file's faults are settings' faults.
            let ring = common.ring.as_deref();
            let source = ring.map(|ring| RingSource::load_or_fault(Some(ring), resolver));
            let wanted = Wanted {
                gateways: u16::try_from(resolver.count("gateways")).unwrap_or(1),
                topic_servers: usize::try_from(resolver.count("topic-servers")).unwrap_or(1),
                port: u16::try_from(resolver.count("port")).unwrap_or(0),
                redis_port: resolver.count_if_given("redis-port").and_then(|port| u16::try_from(port).ok()),
                gateway: campanile_gateway::Settings::resolve(resolver, None, common.drain),
                topic_server: campanile_topic_server::Settings::resolve(
                    resolver,
                    String::new(),
                    common.drain,
                ),
                common,
            };
            (wanted, source)
        })?;
        let files = wanted.common.start(true)?;
        Ok(async move {
            let shutdown = common::signals()?;
            let memory = wanted.common.watch_memory(&shutdown.now);
            let wanted = wanted.in_one_process(files, &memory);
            let rules = follow_rules(config, &shutdown, || {});
            let mut dev = Dev {
                gateway_tasks: JoinSet::new(),
                topic_server_tasks: JoinSet::new(),
                after_gateways: Shutdown::manual(),
                registries: Vec::new(),
                ready: Vec::new(),
                gateways: Vec::new(),
                redis: Vec::new(),
            };
            let (source, listeners) = match source {
                Some(source) => {
                    let listeners = listen_as(&source.ring).await?;
                    (source, listeners)
                }
                None => listen_as_example(wanted.topic_servers, wanted.port == 0).await?,
            };
            source.log();
            let feed = source.follow(&shutdown, || {});
            for (name, listener) in listeners {
                dev.start_topic_server(&wanted, name, listener, feed.clone(), &rules);
            }
            for index in 0..wanted.gateways {
                dev.start_gateway(&wanted, index, feed.clone(), &rules, &shutdown).await?;
            }
            dev.finish(&wanted, memory, &shutdown).await
        })
    })
}

/// Listeners for every member of a ring file, at its address there.
async fn listen_as(ring: &Ring) -> Result<Vec<(String, TcpListener)>, End> {
    let mut listeners = Vec::new();
    for member in ring.members() {
        let Some(address) = address_of(ring, member.name()).await? else {
            continue;
        };
        listeners.push((member.name().to_owned(), common::bind_as_member(member.name(), address).await?));
    }
    Ok(listeners)
}

/// The example ring with so many members, and their listeners: on the example's ports, or on free ones.
async fn listen_as_example(
    members: usize,
    free_ports: bool,
) -> Result<(RingSource, Vec<(String, TcpListener)>), End> {
    let example = Ring::example_resized(members)?;
    if !free_ports {
        let listeners = listen_as(&example).await.map_err(|end| match end {
            End::Failed(text) => {
                End::Failed(format!("{text}; or let --port 0 choose free ports for everything"))
            }
            end => end,
        })?;
        return Ok((RingSource::fixed(example), listeners));
    }
    let mut listeners = Vec::new();
    for member in example.members() {
        let listener = common::bind((Ipv4Addr::LOCALHOST, 0).into(), "--port").await?;
        listeners.push((member.name().to_owned(), listener));
    }
    let ring = example.with_addresses(|member| {
        let found = listeners.iter().find(|(name, _)| name == member.name());
        let bound = found.and_then(|(_, listener)| listener.local_addr().ok());
        bound.map_or_else(|| member.address().to_owned(), |address| address.to_string())
    })?;
    Ok((RingSource::fixed(ring), listeners))
}

/// A listener for a gateway: on the port that the option names for the first one, or so many behind it.
async fn bind_nth(port: u16, index: u16, option: &str) -> Result<TcpListener, End> {
    let port = if port == 0 { Some(0) } else { port.checked_add(index) };
    let port = port
        .ok_or_else(|| End::Failed(format!("{option}: there are not so many ports; choose a lower one")))?;
    common::bind((Ipv4Addr::LOCALHOST, port).into(), option).await
}

impl Dev {
    fn start_topic_server(
        &mut self,
        wanted: &Wanted,
        name: String,
        listener: TcpListener,
        feed: Feed,
        rules: &Arc<ArcSwap<TopicRules>>,
    ) {
        let settings = campanile_topic_server::Settings { name: name.clone(), ..wanted.topic_server.clone() };
        let server =
            TopicServer::new(settings, feed, Arc::clone(rules), Arc::default(), self.after_gateways.clone());
        self.registries.push(topic_server_registry(&server, &name));
        common::announce("topic-server", &listener);
        self.topic_server_tasks.spawn(run_topic_server(server, listener));
    }

    async fn start_gateway(
        &mut self,
        wanted: &Wanted,
        index: u16,
        feed: Feed,
        rules: &Arc<ArcSwap<TopicRules>>,
        shutdown: &Shutdown,
    ) -> Result<(), End> {
        let listener = bind_nth(wanted.port, index, "--port").await?;
        let redis = match wanted.redis_port {
            Some(port) => Some(bind_nth(port, index, "--redis-port").await?),
            None => None,
        };
        let address = listener.local_addr().map_err(|error| End::Failed(format!("gateway: {error}")))?;
        let name = format!("gw-{}", index + 1);
        let settings = campanile_gateway::Settings { name: Some(name.clone()), ..wanted.gateway.clone() };
        let metrics = Arc::new(campanile_gateway::Metrics::default());
        let gateway = Gateway::new(settings, feed, Arc::clone(rules), metrics, shutdown.clone());
        self.registries.push(gateway_registry(&gateway, &name));
        self.ready.push(Box::new(gateway.readiness()));
        self.gateways.push(address);
        common::announce("gateway", &listener);
        if let Some(redis) = &redis {
            common::announce("redis", redis);
            self.redis.extend(redis.local_addr());
        }
        self.gateway_tasks.spawn(gateway.with_redis(redis).run(listener));
        Ok(())
    }

    /// Says how to use the cluster, and runs it to its end.
    async fn finish(mut self, wanted: &Wanted, memory: MemoryGuard, shutdown: &Shutdown) -> Result<(), End> {
        let ready = self.ready;
        let all_ready = move || {
            let states: Vec<_> = ready.iter().map(|ready| ready()).collect();
            let bodies: Vec<_> = states.iter().map(|state| state.body.as_str()).collect();
            let ready = states.iter().all(|state| state.ready);
            let body = format!(r#"{{"ready":{ready},"gateways":[{}]}}"#, bodies.join(","));
            Readiness { ready, body }
        };
        common::serve_admin(wanted.common.admin, self.registries, all_ready, &memory, &shutdown.now).await?;
        explain(&self.gateways, &self.redis);
        let failed = |error| End::Failed(format!("a part of the cluster failed: {error}"));
        loop {
            tokio::select! {
                ended = self.gateway_tasks.join_next() => match ended {
                    Some(ended) => ended.map_err(failed)?,
                    None => break,
                },
                // None of them ends before it is told to.
                Some(ended) = self.topic_server_tasks.join_next() => ended.map_err(failed)??,
            }
        }
        self.after_gateways.drain.cancel();
        if shutdown.now.is_cancelled() {
            self.after_gateways.now.cancel();
        }
        while let Some(ended) = self.topic_server_tasks.join_next().await {
            ended.map_err(failed)??;
        }
        Ok(())
    }
}

/// What to type next. A closed stdout is no error.
fn explain(gateways: &[SocketAddr], redis: &[SocketAddr]) {
    let _ = write!(std::io::stdout(), "{}", explanation(gateways, redis));
}

fn explanation(gateways: &[SocketAddr], redis: &[SocketAddr]) -> String {
    let Some(first) = gateways.first() else {
        return String::new();
    };
    let second = gateways.get(1).unwrap_or(first);
    let redis = redis.first().map_or_else(String::new, |first| {
        let second = redis.get(1).unwrap_or(first);
        format!(
            r#"
Or with redis-cli, one terminal to listen and one to publish:

  redis-cli -p {} SUBSCRIBE news
  redis-cli -p {} PUBLISH news hello
"#,
            first.port(),
            second.port()
        )
    });
    format!(
        r#"
The cluster runs. Open http://{first}/ in a browser, or two terminals:

  websocat "ws://{first}/socket/websocket?vsn=2.0.0"
  websocat "ws://{second}/socket/websocket?vsn=2.0.0"

Type in both, to join a topic:

  ["1","1","topics:matrix","phx_join",{{}}]

Then in one, to publish to both:

  ["1","1","topics:matrix","publish",["event",{{"message":"red pill or blue pill?"}}]]
{redis}
Ctrl-C ends it.
"#
    )
}
