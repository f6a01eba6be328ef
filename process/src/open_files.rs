//! The open-files limit, which is the number of connections that a process can hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for everything that is not a connection of a client: listeners, files, the runtime, connections
/// to peers. A limit too low for it gives half of itself.
const RESERVE: u64 = 128;

/// How many files this process may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// The limit in force; `u64::MAX` if there is none.
    pub limit: u64,
    /// The connections that it leaves room for.
    pub connections: u64,
}

/// Raises the soft limit to the hard one, as any process may, and says what is in force then.
pub fn raise_and_check() -> OpenFiles {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::debug!(%error, "the open-files limit stays as it is");
    }
    OpenFiles::with_limit(getrlimit(Resource::Nofile).current)
}

impl OpenFiles {
    fn with_limit(limit: Option<u64>) -> OpenFiles {
        let limit = limit.unwrap_or(u64::MAX);
        OpenFiles { limit, connections: limit - RESERVE.min(limit / 2) }
    }

    /// Warns when the limit leaves room for fewer than `wanted` connections, and says how to raise it. Whether it
    /// warned.
    pub fn warn_if_low(&self, wanted: u64) -> bool {
        let low = self.connections < wanted;
        if low {
            tracing::warn!("{}", self.warning(wanted));
        }
        low
    }

    fn warning(&self, wanted: u64) -> String {
        let OpenFiles { limit, connections } = self;
        let raise = wanted.saturating_add(RESERVE);
        format!(
            "the open-files limit is {limit}, which allows about {connections} connections, and {wanted} are \
             wanted; raise it with `ulimit -Hn {raise}` in the shell that starts this, or LimitNOFILE={raise} \
             in its systemd unit"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        let files = raise_and_check();
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
        assert_eq!(files, OpenFiles::with_limit(hard));
    }

    #[test]
    fn some_are_kept_back() {
        let connections = |limit| OpenFiles::with_limit(limit).connections;
        assert_eq!(connections(Some(1024)), 896);
        assert_eq!(connections(Some(20)), 10);
        assert_eq!(connections(Some(0)), 0);
        assert!(connections(None) > 1 << 60);
    }

    #[test]
    fn the_warning_says_how_many_and_what_to_do() {
        let files = OpenFiles::with_limit(Some(1024));
        assert!(!files.warn_if_low(896));
        assert!(files.warn_if_low(897));
        let warning = files.warning(10_000);
        for part in
            ["is 1024", "about 896 connections", "10000 are wanted", "`ulimit -Hn 10128`", "LimitNOFILE="]
        {
            assert!(warning.contains(part), "{part} is not in: {warning}");
        }
    }
}
