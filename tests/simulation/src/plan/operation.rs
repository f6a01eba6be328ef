//! What happens to the cluster, and to whom.

/// A process of the cluster, by its index among those of its tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// A gateway.
    Gateway(usize),
    /// A topic server, by the place at which it runs.
    Server(usize),
}

/// Something that happens to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The ring of this version is saved. Each process reads it so many milliseconds later, or skips it.
    Edit {
        /// Index of the ring in the plan, plus one.
        version: u64,
        /// When each gateway reads it.
        gateways: Vec<Option<u64>>,
        /// When each topic server reads it.
        servers: Vec<Option<u64>>,
    },
    /// Nothing passes between two processes, in one direction or both, for so many milliseconds.
    Cut {
        /// One process.
        one: Process,
        /// The other.
        other: Process,
        /// From the one to the other.
        forth: bool,
        /// From the other to the one.
        back: bool,
        /// Milliseconds.
        lasts: u64,
    },
    /// All connections between two processes are reset.
    Reset {
        /// One process.
        one: Process,
        /// The other.
        other: Process,
    },
    /// All that passes between two processes takes longer for a while.
    Slow {
        /// One process.
        one: Process,
        /// The other.
        other: Process,
        /// Milliseconds more.
        by: u64,
        /// Milliseconds.
        lasts: u64,
    },
    /// A process dies. `silent`: the others are not told.
    Kill {
        /// The process.
        process: Process,
        /// Its host goes with it.
        silent: bool,
    },
    /// Somebody who is in no ring claims every topic of a topic server (H10).
    Stranger {
        /// The topic server.
        server: usize,
    },
    /// A process starts, with the newest ring alone.
    Start {
        /// The process.
        process: Process,
    },
}
