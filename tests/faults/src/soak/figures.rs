//! What a process holds: every gauge that it shows, and what the kernel tells of it.

use std::collections::BTreeMap;
use std::fs;

use crate::cluster::{Cluster, Node};
use crate::failure::{Failure, Result};
use crate::http;

/// Gauges that are not the size of anything, or are read elsewhere.
const NOT_COMPARED: [&str; 7] = [
    "ring_version",
    "process_resident_memory_bytes",
    "process_memory_allocated_bytes",
    "process_threads",
    "process_start_time_seconds",
    // Counts the connection over which it is asked for, and perhaps the one before.
    "process_open_fds",
    "process_max_fds",
];

/// So many threads more or fewer mean nothing: each of the two watched files and the memory's watch has one when it needs it,
/// and threads that wait for such work are kept for as long as each has some every 10 s.
const BLOCKING: u64 = 2;

/// One process at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) node: String,
    /// By name: sizes of tables, tasks, descriptors. Equal when nothing is going on.
    pub(crate) sizes: BTreeMap<String, u64>,
    pub(crate) threads: u64,
    /// Bytes that the allocator has handed out, and that the process has in RAM.
    pub(crate) allocated: u64,
    pub(crate) resident: u64,
}

/// All processes at one moment, in the cluster's order.
pub(crate) type Snapshot = Vec<Figures>;

/// Figures of all processes.
pub(crate) async fn snapshot(cluster: &Cluster) -> Result<Snapshot> {
    let mut all = Vec::new();
    for node in cluster.nodes() {
        all.push(of_node(node).await?);
    }
    Ok(all)
}

async fn of_node(node: &Node) -> Result<Figures> {
    // Before it is asked: its answer's connection may be open a moment longer.
    let descriptors = http::descriptors(node.id()) as u64;
    let (_, body) = http::get(node.admin, "/metrics")
        .await
        .map_err(|error| Failure::new(format!("the metrics of {}: {error}", node.name)))?;
    let prefix = format!("campanile_{}_", node.role.replace('-', "_"));
    let mut gauges = gauges(&body, &prefix);
    let mut take = |name: &str| gauges.remove(name).unwrap_or(0);
    let (threads, allocated) = (take("process_threads"), take("process_memory_allocated_bytes"));
    gauges.retain(|name, _| !NOT_COMPARED.contains(&name.as_str()));
    gauges.insert("descriptors".to_owned(), descriptors);
    let resident = http::memory(node.id());
    Ok(Figures { node: node.name.clone(), sizes: gauges, threads, allocated, resident })
}

/// Every gauge of a page with the sum of its samples, without the role's prefix.
fn gauges(body: &str, prefix: &str) -> BTreeMap<String, u64> {
    let types = body.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = types.filter_map(|line| line.strip_suffix(" gauge"));
    let name_of = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    names.map(|name| (name_of(name), http::sum(body, name) as u64)).collect()
}

impl Figures {
    /// What is not as it was: name, value now, value then.
    pub(crate) fn changes_since(&self, base: &Self) -> Vec<(String, u64, u64)> {
        let then = |name: &str| base.sizes.get(name).copied().unwrap_or(0);
        let names: std::collections::BTreeSet<_> = self.sizes.keys().chain(base.sizes.keys()).collect();
        let mut changes: Vec<_> = names
            .into_iter()
            .map(|name| (name.clone(), self.size(name), then(name)))
            .filter(|(_, now, then)| now != then)
            .collect();
        if self.threads > base.threads + BLOCKING {
            changes.push(("threads".to_owned(), self.threads, base.threads));
        }
        changes
    }

    pub(crate) fn size(&self, name: &str) -> u64 {
        self.sizes.get(name).copied().unwrap_or(0)
    }
}

/// Processor time of a process so far, in seconds.
pub(crate) fn processor_time(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gauge_is_compared_and_counters_are_not() {
        let body = "# TYPE role_a gauge\nrole_a{x=\"1\"} 2\nrole_a{x=\"2\"} 3.0\n# TYPE role_b counter\nrole_b_total 9\n\
                    # TYPE process_tasks gauge\nprocess_tasks 7.0\n";
        let found = gauges(body, "role_");
        assert_eq!(found, BTreeMap::from([("a".to_owned(), 5), ("process_tasks".to_owned(), 7)]));
        let base = Figures { sizes: found, threads: 4, ..Figures::default() };
        let mut now = base.clone();
        now.threads = 4 + BLOCKING;
        now.allocated = 1;
        assert!(now.changes_since(&base).is_empty());
        now.threads += 1;
        now.sizes.insert("a".to_owned(), 6);
        now.sizes.insert("new".to_owned(), 1);
        let changes = now.changes_since(&base);
        assert_eq!(changes, [("a".to_owned(), 6, 5), ("new".to_owned(), 1, 0), ("threads".to_owned(), 7, 4)]);
    }

    #[test]
    fn this_process_takes_time() {
        let begun = processor_time(std::process::id());
        let mut number = 0_u64;
        while processor_time(std::process::id()) <= begun {
            number = std::hint::black_box(number + 1);
        }
        assert!(begun >= 0.0 && number > 0);
    }
}
