//! Gateways and topic servers in this process, with real sockets and links between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use campanile_gateway::Gateway;
use campanile_process::admin::Readiness;
use campanile_process::memory::Pressure;
use campanile_process::settings::ConfigFile;
use campanile_process::shutdown::Shutdown;
use campanile_ring_config::{Feed, Member, Offers, Ring, TopicRules, topics};
use campanile_topic_server::TopicServer;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::client::Client;
use super::fake_topic_server::FakeTopicServer;
use super::node::Node;
use super::port::ReservedPort;
use super::redis::RedisClient;
use super::settings;
use super::wait::{DEADLINE, equal, eventually};

/// Fewer than the default, so that rings are made quickly in a debug build.
pub(crate) const VIRTUAL_NODES: u32 = 64;

type ChangeGateway = fn(&mut campanile_gateway::Settings);
type ChangeTopicServer = fn(&mut campanile_topic_server::Settings);

/// A cluster. Every node ends with it.
pub(crate) struct Cluster {
    /// What everybody would read in the file: the newest ring. A node that starts begins with it.
    rings: watch::Sender<Arc<Ring>>,
    rules: Arc<ArcSwap<TopicRules>>,
    pub(crate) topic_servers: Vec<TopicServerNode>,
    pub(crate) gateways: Vec<GatewayNode>,
    change_gateway: ChangeGateway,
    change_topic_server: ChangeTopicServer,
    /// Nodes adopt rings that they hear of from others, and read the file when they hear of a newer one (R1).
    heeds_offers: bool,
    /// Of all nodes, whether they listen or not: a restart finds its port free.
    ports: Vec<ReservedPort>,
}

/// A topic server of the cluster.
pub(crate) struct TopicServerNode {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// How rings that are made from now on name its address.
    pub(crate) in_ring: String,
    pub(crate) node: Node,
    /// New with each start.
    pub(crate) metrics: Arc<campanile_topic_server::Metrics>,
    /// For the test to say that memory is short.
    pub(crate) memory: Pressure,
    /// The ring that this node has read.
    rings: watch::Sender<Arc<Ring>>,
}

/// A gateway of the cluster.
pub(crate) struct GatewayNode {
    pub(crate) address: SocketAddr,
    /// Where it speaks Redis; new with each start.
    pub(crate) redis: SocketAddr,
    pub(crate) node: Node,
    /// New with each start.
    pub(crate) metrics: Arc<campanile_gateway::Metrics>,
    /// For the test to say that memory is short.
    pub(crate) memory: Pressure,
    pub(crate) ready: Box<dyn Fn() -> Readiness + Send + Sync>,
    /// The ring that this node has read.
    rings: watch::Sender<Arc<Ring>>,
}

impl TopicServerNode {
    /// This node alone reads the ring file now.
    pub(crate) fn reads(&self, ring: &Arc<Ring>) {
        give(&self.rings, ring);
    }

    /// Whether this ring gives the topic to this process.
    pub(crate) fn owns(&self, ring: &Ring, topic: &str) -> bool {
        let owner = ring.owner(topic.as_bytes());
        owner.name() == self.name && owner.address() == self.in_ring
    }
}

impl GatewayNode {
    /// This node alone reads the ring file now.
    pub(crate) fn reads(&self, ring: &Arc<Ring>) {
        give(&self.rings, ring);
    }
}

/// What is no newer than what a node has is not adopted, as from a file.
fn give(rings: &watch::Sender<Arc<Ring>>, ring: &Arc<Ring>) {
    rings.send_if_modified(|own| {
        let is_newer = ring.version() > own.version();
        if is_newer {
            *own = Arc::clone(ring);
        }
        is_newer
    });
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
        Self::start_all(gateways, topic_servers, false, change_gateway, change_topic_server).await
    }

    /// As [`Cluster::start`]; nodes also adopt rings that they hear of from others, and read the file when they hear of
    /// a newer one (R1). Without this they have no rings but those that they are given.
    pub(crate) async fn start_heeding_offers(gateways: usize, topic_servers: usize) -> Self {
        Self::start_all(gateways, topic_servers, true, |_| {}, |_| {}).await
    }

    async fn start_all(
        gateways: usize,
        topic_servers: usize,
        heeds_offers: bool,
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
        cluster.heeds_offers = heeds_offers;
        for (name, address) in named {
            let node = cluster.topic_server_node(name, address, None).await;
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
            heeds_offers: false,
            ports: Vec::new(),
        }
    }

    /// The ring of a node that starts; if it heeds what others know, it does so on these threads.
    fn feed(&self, runtime: &Runtime, shutdown: &Shutdown) -> (watch::Sender<Arc<Ring>>, Feed) {
        let (rings, receiver) = watch::channel(self.ring());
        if !self.heeds_offers {
            return (rings, Feed::without_offers(receiver));
        }
        let (offers, mut offered) = Offers::new();
        let (adopting, file, mut reload) = (rings.clone(), self.rings.subscribe(), shutdown.reload.clone());
        runtime.spawn(async move {
            loop {
                let ring = tokio::select! {
                    ring = offered.next() => ring,
                    Ok(()) = reload.changed() => Arc::clone(&file.borrow()),
                };
                give(&adopting, &ring);
            }
        });
        (rings, Feed { rings: receiver, offers })
    }

    fn reserve(&mut self) -> SocketAddr {
        let port = ReservedPort::new();
        let address = port.address;
        self.ports.push(port);
        address
    }

    /// With `listen`, as with the flag of this name: the address comes from there and not from the ring.
    async fn topic_server_node(
        &self,
        name: String,
        address: SocketAddr,
        listen: Option<SocketAddr>,
    ) -> TopicServerNode {
        let (runtime, listener) = Node::listen(address).await;
        let mut settings = settings::topic_server(&name);
        settings.listen = listen;
        (self.change_topic_server)(&mut settings);
        let memory = settings.memory.clone();
        let (shutdown, metrics) = (Shutdown::manual(), Arc::default());
        let (rings, feed) = self.feed(&runtime, &shutdown);
        let server =
            TopicServer::new(settings, feed, Arc::clone(&self.rules), Arc::clone(&metrics), shutdown.clone());
        let run = move || async move { server.run(listener).await.unwrap() };
        let node = Node::run(runtime, shutdown, run);
        TopicServerNode { name, address, in_ring: address.to_string(), node, metrics, memory, rings }
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
        let memory = settings.memory.clone();
        let (shutdown, metrics) = (Shutdown::manual(), Arc::default());
        let (rings, feed) = self.feed(&runtime, &shutdown);
        let rules = Arc::clone(&self.rules);
        let gateway = Gateway::new(settings, feed, rules, Arc::clone(&metrics), shutdown.clone());
        let ready = Box::new(gateway.readiness());
        let redis_listener = Node::listen_on(&runtime, (Ipv4Addr::LOCALHOST, 0).into()).await;
        let redis = redis_listener.local_addr().unwrap();
        let gateway = gateway.with_redis(Some(redis_listener));
        let node = Node::run(runtime, shutdown, move || gateway.run(listener));
        GatewayNode { address, redis, node, metrics, memory, ready, rings }
    }

    /// Kills a topic server.
    pub(crate) async fn kill_topic_server(&mut self, index: usize) {
        self.topic_servers[index].node.kill().await;
    }

    /// Starts a topic server again that was killed or has ended, where it was.
    pub(crate) async fn restart_topic_server(&mut self, index: usize) {
        let (name, address) = (self.topic_servers[index].name.clone(), self.topic_servers[index].address);
        self.topic_servers[index].node.kill().await;
        let in_ring = std::mem::take(&mut self.topic_servers[index].in_ring);
        let node = self.topic_server_node(name, address, Some(address)).await;
        self.topic_servers[index] = TopicServerNode { in_ring, ..node };
    }

    /// Starts a topic server that the ring may or may not have, and returns its index.
    pub(crate) async fn add_topic_server(&mut self, name: &str) -> usize {
        let address = self.reserve();
        let node = self.topic_server_node(name.to_owned(), address, Some(address)).await;
        self.topic_servers.push(node);
        self.topic_servers.len() - 1
    }

    /// A topic server that does not run yet, and its index: [`Cluster::restart_topic_server`] starts it.
    pub(crate) fn plan_topic_server(&mut self, name: &str) -> usize {
        let address = self.reserve();
        let (node, metrics) = (Node::not_running(), Arc::default());
        let rings = watch::channel(self.ring()).0;
        let (name, in_ring) = (name.to_owned(), address.to_string());
        let memory = Pressure::default();
        self.topic_servers.push(TopicServerNode { name, address, in_ring, node, metrics, memory, rings });
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
        let members: Vec<_> = indices.iter().map(|index| (*index, 1)).collect();
        self.edit_weights(&members);
    }

    /// Gives all nodes the next version of the ring, with these topic servers of these weights in it.
    pub(crate) fn edit_weights(&self, members: &[(usize, u32)]) {
        self.write_ring(members);
        self.all_read();
    }

    /// The next version of the ring, with these topic servers of these weights in it. No node has read it yet.
    pub(crate) fn write_ring(&self, members: &[(usize, u32)]) -> Arc<Ring> {
        let member = |(index, weight): &(usize, u32)| {
            let server = &self.topic_servers[*index];
            Member::new(&server.name, &server.in_ring, *weight)
        };
        let members = members.iter().map(member).collect();
        let ring = Arc::new(Ring::new(self.ring().version() + 1, VIRTUAL_NODES, members).unwrap());
        self.rings.send_replace(Arc::clone(&ring));
        ring
    }

    /// All nodes have the newest ring.
    pub(crate) fn all_read(&self) {
        let ring = self.ring();
        self.topic_servers.iter().for_each(|server| server.reads(&ring));
        self.gateways.iter().for_each(|gateway| gateway.reads(&ring));
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

    /// A Redis client of this gateway.
    pub(crate) async fn redis(&self, gateway: usize) -> RedisClient {
        RedisClient::connect(self.gateways[gateway].redis).await
    }

    /// A client of this gateway.
    pub(crate) async fn client(&self, gateway: usize) -> Client {
        Client::connect(self.gateways[gateway].address).await
    }
}
