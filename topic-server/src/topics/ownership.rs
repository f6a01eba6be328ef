//! Which topics this server may hold: its name and address on one side, the newest ring on the other.

use std::sync::Arc;

use arc_swap::ArcSwap;
use campanile_ring_config::Ring;

/// This server's place in the newest ring. Every decision loads the ring anew, under the topic's lock (L4).
#[derive(Debug)]
pub struct Ownership {
    name: String,
    view: ArcSwap<View>,
}

#[derive(Debug)]
struct View {
    ring: Arc<Ring>,
    /// Index of this server in the ring's members; `None` for a standby.
    own: Option<usize>,
}

impl Ownership {
    /// The server of this name under this ring.
    pub fn new(name: String, ring: Arc<Ring>) -> Self {
        let view = ArcSwap::from_pointee(View::of(&name, ring));
        Self { name, view }
    }

    /// This server's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The newest ring.
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.view.load().ring)
    }

    /// The newest ring's version.
    pub fn ring_version(&self) -> u64 {
        self.view.load().ring.version()
    }

    /// Whether the newest ring names this server at all.
    pub fn is_member(&self) -> bool {
        self.view.load().own.is_some()
    }

    /// Whether the newest ring gives this topic to this server.
    pub fn owns(&self, topic: &[u8]) -> bool {
        let view = self.view.load();
        view.own.is_some_and(|own| view.ring.owner_index(topic) == own)
    }

    /// From now on the newest ring is this one.
    pub fn adopt(&self, ring: Arc<Ring>) {
        self.view.store(Arc::new(View::of(&self.name, ring)));
    }
}

impl View {
    fn of(name: &str, ring: Arc<Ring>) -> Self {
        let own = ring.members().iter().position(|member| member.name() == name);
        Self { ring, own }
    }
}
