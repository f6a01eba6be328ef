//! Gateways and topic servers in this process, with real sockets and links between them.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use campanile_gateway::Gateway;
use campanile_process::admin::Readiness;
use campanile_process::settings::ConfigFile;
use campanile_process::shutdown::Shutdown;
use campanile_ring_config::{Member, Ring, TopicRules, topics};
use campanile_topic_server::TopicServer;
use tokio::sync::watch;

use super::client::Client;
use super::fake_topic_server::FakeTopicServer;
use super::node::Node;
use super::port::ReservedPort;
use super::settings;
use super::wait::{DEADLINE, equal, eventually};

/// Fewer than the default, so that rings are made quickly in a debug build.
pub(crate) const VIRTUAL_NODES: u32 = 64;

type ChangeGateway = fn(&mut campanile_gateway::Settings);
type ChangeTopicServer = fn(&mut campanile_topic_server::Settings);

/// A cluster. Every node ends with it.
pub(crate) struct Cluster {
    rings: watch::Sender<Arc<Ring>>,
    rules: Arc<ArcSwap<TopicRules>>,
    pub(crate) topic_servers: Vec<TopicServerNode>,
    pub(crate) gateways: Vec<GatewayNode>,
    change_gateway: ChangeGateway,
    change_topic_server: ChangeTopicServer,
    /// Of all nodes, whether they listen or not: a restart finds its port free.
    ports: Vec<ReservedPort>,
}

/// A topic server of the cluster.
pub(crate) struct TopicServerNode {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) node: Node,
    /// New with each start.
    pub(crate) metrics: Arc<campanile_topic_server::Metrics>,
}

/// A gateway of the cluster.
pub(crate) struct GatewayNode {
    pub(crate) address: SocketAddr,
    pub(crate) node: Node,
    /// New with each start.
    pub(crate) metrics: Arc<campanile_gateway::Metrics>,
    pub(crate) ready: Box<dyn Fn() -> Readiness + Send + Sync>,
}

impl Cluster {
    /// So many gateways and topic servers, all linked.
    pub(crate) async fn start(gateways: usize, topic_servers: usize) -> Self {
        Self::start_with(gateways, topic_servers, |_| {}, |_| {}).await
    }

    /// As [`Cluster::start`], with other settings than the default.
    pub(crate) async fn start_with(
        gateways: usize,
        topic_servers: usize,
        change_gateway: ChangeGateway,
        change_topic_server: ChangeTopicServer,
    ) -> Self {
        let ports: Vec<_> = (0..topic_servers).map(|_| ReservedPort::new()).collect();
        let names = (b'a'..).map(|letter| format!("ts-{}", char::from(letter)));
        let named: Vec<_> = names.zip(ports.iter().map(|port| port.address)).collect();
        let members = named.iter().map(|(name, address)| Member::new(name, address.to_string(), 1));
        let ring = Ring::new(1, VIRTUAL_NODES, members.collect()).unwrap();
        let mut cluster = Self::nothing(ring, change_gateway, change_topic_server);
        cluster.ports = ports;
        for (name, address) in named {
            let node = cluster.topic_server_node(name, address).await;
            cluster.topic_servers.push(node);
        }
        for _ in 0..gateways {
            cluster.add_gateway().await;
        }
        cluster.all_linked().await;
        cluster
    }

    /// One gateway under a ring whose only member, ts-a, is this one by hand. Its link is for the test to accept.
    pub(crate) async fn around(fake: &FakeTopicServer, change_gateway: ChangeGateway) -> Self {
        let member = Member::new("ts-a", fake.address.to_string(), 1);
        let ring = Ring::new(1, VIRTUAL_NODES, vec![member]).unwrap();
        let mut cluster = Self::nothing(ring, change_gateway, |_| {});
        cluster.add_gateway().await;
        cluster
    }

    fn nothing(ring: Ring, change_gateway: ChangeGateway, change_topic_server: ChangeTopicServer) -> Self {
        Self {
            rings: watch::channel(Arc::new(ring)).0,
            rules: Arc::default(),
            topic_servers: Vec::new(),
            gateways: Vec::new(),
            change_gateway,
            change_topic_server,
            ports: Vec::new(),
        }
    }

    fn reserve(&mut self) -> SocketAddr {
        let port = ReservedPort::new();
        let address = port.address;
        self.ports.push(port);
        address
    }

    async fn topic_server_node(&self, name: String, address: SocketAddr) -> TopicServerNode {
        let (runtime, listener) = Node::listen(address).await;
        let mut settings = settings::topic_server(&name);
        (self.change_topic_server)(&mut settings);
        let (shutdown, metrics) = (Shutdown::manual(), Arc::default());
        let rings = self.rings.subscribe();
        let server = TopicServer::new(
            settings,
            rings,
            Arc::clone(&self.rules),
            Arc::clone(&metrics),
            shutdown.clone(),
        );
        let run = move || async move { server.run(listener).await.unwrap() };
        let node = Node::run(runtime, shutdown, run);
        TopicServerNode { name, address, node, metrics }
    }

    async fn add_gateway(&mut self) {
        let address = self.reserve();
        let node = self.gateway_node(address).await;
        self.gateways.push(node);
    }

    async fn gateway_node(&self, address: SocketAddr) -> GatewayNode {
        let (runtime, listener) = Node::listen(address).await;
        let mut settings = settings::gateway(&address.to_string());
        (self.change_gateway)(&mut settings);
        let (shutdown, metrics) = (Shutdown::manual(), Arc::default());
        let rings = self.rings.subscribe();
        let rules = Arc::clone(&self.rules);
        let gateway = Gateway::new(settings, rings, rules, Arc::clone(&metrics), shutdown.clone());
        let ready = Box::new(gateway.readiness());
        let node = Node::run(runtime, shutdown, move || gateway.run(listener));
        GatewayNode { address, node, metrics, ready }
    }

    /// Kills a topic server.
    pub(crate) async fn kill_topic_server(&mut self, index: usize) {
        self.topic_servers[index].node.kill().await;
    }

    /// Starts a topic server again that was killed or has ended, where it was.
    pub(crate) async fn restart_topic_server(&mut self, index: usize) {
        let (name, address) = (self.topic_servers[index].name.clone(), self.topic_servers[index].address);
        self.topic_servers[index].node.kill().await;
        self.topic_servers[index] = self.topic_server_node(name, address).await;
    }

    /// Starts a topic server that the ring may or may not have, and returns its index.
    pub(crate) async fn add_topic_server(&mut self, name: &str) -> usize {
        let address = self.reserve();
        let node = self.topic_server_node(name.to_owned(), address).await;
        self.topic_servers.push(node);
        self.topic_servers.len() - 1
    }

    /// Kills a gateway and starts it where it was.
    pub(crate) async fn restart_gateway(&mut self, index: usize) {
        let address = self.gateways[index].address;
        self.gateways[index].node.kill().await;
        self.gateways[index] = self.gateway_node(address).await;
    }

    /// Every gateway has a link to every member of the ring.
    pub(crate) async fn all_linked(&self) {
        let members = self.ring().members().len() as i64;
        for gateway in &self.gateways {
            let links = async || equal(gateway.metrics.links.get(), members);
            eventually("the gateway has all its links", DEADLINE, links).await;
        }
    }

    pub(crate) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.rings.borrow())
    }

    /// Gives all nodes the next version of the ring, with these topic servers in it.
    pub(crate) fn edit_ring(&self, indices: &[usize]) {
        let member = |index: &usize| {
            let server = &self.topic_servers[*index];
            Member::new(&server.name, server.address.to_string(), 1)
        };
        let members = indices.iter().map(member).collect();
        let ring = Ring::new(self.ring().version() + 1, VIRTUAL_NODES, members).unwrap();
        self.rings.send_replace(Arc::new(ring));
    }

    /// Gives all gateways the rules of this config file.
    pub(crate) fn set_rules(&self, config: &str) {
        let file = ConfigFile::parse("test.toml", config.to_owned(), &[], &[topics::KEY]).unwrap();
        self.rules.store(Arc::new(TopicRules::from_config(&file).unwrap()));
    }

    /// A topic that this topic server owns, and no other topic of the test with this word in it.
    pub(crate) fn topic_of(&self, index: usize, word: &str) -> String {
        let (ring, name) = (self.ring(), &self.topic_servers[index].name);
        let mut topics = (0..).map(|number| format!("{word}:{number}"));
        topics.find(|topic| ring.owner(topic.as_bytes()).name() == name).unwrap()
    }

    /// A client of this gateway.
    pub(crate) async fn client(&self, gateway: usize) -> Client {
        Client::connect(self.gateways[gateway].address).await
    }
}
