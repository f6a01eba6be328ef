//! Gateways and topic servers as processes of their own, on one ring.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::failure::{Failure, Result};
use crate::http;
use crate::process::{Process, tool};
use crate::report::Rows;
use crate::stage::Stage;
use crate::wait::eventually;

/// How long everything may take to become ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// How one process is to run.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Where it listens.
    pub(crate) host: IpAddr,
    /// The command that runs it, which must leave it its process id.
    pub(crate) within: Vec<String>,
    pub(crate) options: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
}

impl Default for Way {
    fn default() -> Self {
        let host = Ipv4Addr::LOCALHOST.into();
        Self { host, within: Vec::new(), options: Vec::new(), variables: Vec::new() }
    }
}

impl Way {
    pub(crate) fn within(mut self, command: &[&str]) -> Self {
        self.within = words(command);
        self
    }

    pub(crate) fn options(mut self, options: &[&str]) -> Self {
        self.options = words(options);
        self
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// One member of the cluster: its process, and how to start it anew.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Where a gateway listens for Redis clients.
    pub(crate) redis: SocketAddr,
    folder: PathBuf,
    command: Vec<String>,
    variables: Vec<(String, String)>,
    process: Option<Process>,
}

impl Node {
    fn new(stage: &Stage, role: &'static str, name: &str, way: &Way) -> Result<Self> {
        let [address, admin, redis] = [free_port(way.host)?, free_port(way.host)?, free_port(way.host)?];
        let mut command = way.within.clone();
        command.push(stage.program.to_string_lossy().into_owned());
        let (address_text, admin_text) = (address.to_string(), admin.to_string());
        command.extend(words(&[role, "--ring", "ring.toml", "--name", name, "--listen", &address_text]));
        command.extend(words(&["--admin", &admin_text]));
        if role == "gateway" {
            command.extend(words(&["--redis", &redis.to_string()]));
        }
        command.extend(way.options.iter().cloned());
        let (folder, variables) = (stage.folder.clone(), way.variables.clone());
        let name = name.to_owned();
        Ok(Self { name, role, address, admin, redis, folder, command, variables, process: None })
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let process = Process::start(&self.folder, &self.name, &self.command, &self.variables)?;
        self.process.insert(process).listening(self.role).await
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    fn process(&mut self) -> Result<&mut Process> {
        let name = &self.name;
        self.process.as_mut().ok_or_else(|| Failure::new(format!("{name} does not run")))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process()?.kill()
    }

    /// SIGSTOP.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.process()?.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::runs)
    }

    /// All that it has logged in all its lives.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// A metric of its role, such as `links`; 0 if it does not answer.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let name = format!("campanile_{}_{name}", self.role.replace('-', "_"));
        http::metric(self.admin, &name).await.unwrap_or(0.0)
    }

    async fn ready(&self) -> Result<()> {
        let look = async || match http::get(self.admin, "/readyz").await {
            Ok((200, body)) if body.contains(r#""missing":[]"#) || self.role != "gateway" => Ok(()),
            other => Err(other),
        };
        eventually(&format!("{} is ready", self.name), PATIENCE, look).await
    }
}

/// Topic servers, which are all in the ring, and gateways.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) topic_servers: Vec<Node>,
    pub(crate) gateways: Vec<Node>,
    program: PathBuf,
    ring: PathBuf,
}

impl Cluster {
    /// Two of each, nothing special about them.
    pub(crate) async fn plain(stage: &Stage) -> Result<Self> {
        Self::start(stage, &[Way::default(), Way::default()], &[Way::default(), Way::default()]).await
    }

    /// As many as there are ways, and all are ready.
    pub(crate) async fn start(stage: &Stage, topic_servers: &[Way], gateways: &[Way]) -> Result<Self> {
        let nodes = |role, prefix: &str, ways: &[Way]| -> Result<Vec<Node>> {
            let node = |(letter, way)| Node::new(stage, role, &format!("{prefix}-{letter}"), way);
            ('a'..='z').zip(ways).map(node).collect()
        };
        let mut cluster = Self {
            topic_servers: nodes("topic-server", "ts", topic_servers)?,
            gateways: nodes("gateway", "gw", gateways)?,
            program: stage.program.clone(),
            ring: stage.folder.join("ring.toml"),
        };
        let mut ring = "version = 1\nvirtual_nodes = 512\n".to_owned();
        for node in &cluster.topic_servers {
            let (name, address) = (&node.name, node.address);
            let _ =
                write!(ring, "\n[[topic_server]]\nname = \"{name}\"\naddress = \"{address}\"\nweight = 1\n");
        }
        fs::write(&cluster.ring, ring)?;
        for node in cluster.topic_servers.iter_mut().chain(&mut cluster.gateways) {
            node.start().await?;
        }
        for node in cluster.nodes() {
            node.ready().await?;
        }
        Ok(cluster)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.topic_servers.iter().chain(&self.gateways)
    }

    /// So many topics of this owner.
    pub(crate) fn topics_of(&self, owner: &str, count: usize) -> Result<Vec<String>> {
        let topics: Vec<_> = (0..count * 20 + 20).map(|number| format!("probe:{number}")).collect();
        let (program, ring) = (self.program.to_string_lossy(), self.ring.to_string_lossy());
        let mut command = vec![&*program, "ring", "owner", &*ring];
        command.extend(topics.iter().map(String::as_str));
        let answer = tool(&command)?;
        let owned = answer.lines().filter_map(|line| line.split_once('\t'));
        let owned: Vec<_> =
            owned.filter(|(_, name)| *name == owner).map(|(topic, _)| topic.to_owned()).take(count).collect();
        if owned.len() < count {
            return Err(Failure::new(format!("{owner} owns too few topics: {answer}")));
        }
        Ok(owned)
    }

    /// Edits the ring by `campanile ring`; the first of these words says how. Returns its new version.
    pub(crate) fn edit(&self, words: &[&str]) -> Result<u64> {
        let (program, ring) = (self.program.to_string_lossy(), self.ring.to_string_lossy());
        let (verb, rest) = words.split_first().ok_or_else(|| Failure::new("no edit"))?;
        tool(&[&[&*program, "ring", verb, &*ring], rest].concat())?;
        let text = fs::read_to_string(&self.ring)?;
        let version = text.lines().find_map(|line| line.strip_prefix("version = "));
        let version = version.and_then(|version| version.split_whitespace().next()?.parse().ok());
        version.ok_or_else(|| Failure::new(format!("no version in {text}")))
    }

    /// Publishes that topic servers have accepted since each of them started.
    pub(crate) async fn accepted(&self) -> f64 {
        let mut sum = 0.0;
        for node in &self.topic_servers {
            sum += node.metric("publishes_accepted_total").await;
        }
        sum
    }

    /// What must hold after every scenario: everybody lives, and nobody has panicked.
    pub(crate) fn still_stands(&mut self, rows: &mut Rows) {
        let mut dead = Vec::new();
        let mut panics = 0;
        for node in self.topic_servers.iter_mut().chain(&mut self.gateways) {
            if !node.runs() {
                dead.push(node.name.clone());
            }
            panics += node.log().matches("panicked").count();
        }
        let figure = format!("{} dead, {panics} panics", dead.len());
        rows.must("processes at the end", figure, "0 dead, 0 panics", dead.is_empty() && panics == 0);
    }
}

/// A port that was free a moment ago, and will be when a process that had it is started again: none that the kernel gives to
/// whoever connects (from 32,768 on, if nobody has changed that). An address of another namespace has all of its ports free.
fn free_port(host: IpAddr) -> Result<SocketAddr> {
    let asked = if host.is_loopback() { host } else { Ipv4Addr::LOCALHOST.into() };
    let mut last = None;
    for _ in 0..100 {
        let port = fastrand::u16(10_000..32_000);
        match TcpListener::bind((asked, port)) {
            Ok(_) => return Ok(SocketAddr::new(host, port)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()).into())
}
