use campanile_proto::message::Rings;
use campanile_ring_config::Member;
use campanile_ring_config::offers::Offered;

use super::*;
use crate::client::direct::Touched;

const A: (&str, &str) = ("a", "127.0.0.1:5001");
const B: (&str, &str) = ("b", "127.0.0.1:5002");

fn ring(version: u64, members: &[(&str, &str)]) -> Ring {
    let members = members.iter().map(|(name, address)| Member::new(*name, *address, 1));
    Ring::new(version, 16, members.collect()).expect("a ring")
}

/// A gateway under the ring 5 of a and b, and what it offers.
struct World {
    shared: Shared,
    upstreams: Vec<Arc<Upstream>>,
    offered: Offered,
}

impl World {
    fn new() -> Self {
        let (links, upstreams) = Links::new(Arc::new(ring(5, &[A, B])), 1024);
        let (links, metrics) = (Arc::new(links), Arc::<Metrics>::default());
        let hub = Hub::new(Arc::clone(&links), Arc::clone(&metrics), Duration::from_secs(5));
        let (offers, offered) = Offers::new();
        let identity = Identity { name: "gw".into(), incarnation: Incarnation(1), links: AtomicU64::new(0) };
        let shared = Shared {
            identity: Arc::new(identity),
            hub: Arc::new(hub),
            links,
            metrics,
            shutdown: Shutdown::manual(),
            offers,
        };
        Self { shared, upstreams, offered }
    }

    /// The member of this index tells of a ring. Returns the version that was offered and the reloads so far.
    async fn told(&mut self, index: usize, newest: String) -> (Option<u64>, u64) {
        let rings = Rings { newest, previous: Vec::new(), clean: Vec::new(), starting: false };
        let (upstream, view) = (&self.upstreams[index], self.upstreams[index].view());
        receive(upstream, &self.shared, 1, view, FromTopicServer::Rings(rings), &mut Touched::default());
        let offered = timeout(Duration::ZERO, self.offered.next()).await.ok();
        let reloads = *self.shared.shutdown.reload.borrow();
        (offered.map(|ring| ring.version()), reloads)
    }
}

/// R1: whom the ring in force names is trusted with the next one.
#[tokio::test]
async fn a_newer_ring_of_a_member_is_offered() {
    let mut world = World::new();
    assert_eq!(world.told(0, ring(6, &[A]).to_toml()).await, (Some(6), 0));
    assert_eq!(world.told(1, ring(9, &[A, B]).to_toml()).await, (Some(9), 0));
}

#[tokio::test]
async fn a_ring_that_is_not_newer_or_has_faults_is_ignored() {
    let mut world = World::new();
    for text in [ring(4, &[A]).to_toml(), ring(5, &[A]).to_toml(), "version = 6".into(), "x".into()] {
        assert_eq!(world.told(0, text).await, (None, 0));
    }
}

#[tokio::test]
async fn a_newer_ring_of_a_stranger_only_makes_the_file_be_read_again() {
    let mut world = World::new();
    world.shared.links.adopt(Arc::new(ring(6, &[B])));
    assert_eq!(world.told(0, ring(7, &[A, B]).to_toml()).await, (None, 1));
    // H7: the same name at another address is another member.
    world.shared.links.adopt(Arc::new(ring(7, &[("a", "127.0.0.1:6001"), B])));
    assert_eq!(world.told(0, ring(8, &[A, B]).to_toml()).await, (None, 2));
    assert_eq!(world.told(1, ring(8, &[A, B]).to_toml()).await, (Some(8), 2));
}
