//! Metrics: the numbers of the process itself, and several registries as one text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
pub use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
pub use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

/// Adds the numbers of this process, read at each scrape (but for the tasks, on Linux only; elsewhere they are left out), and
/// `campanile_build_info` with release and commit. Give it a registry without a prefix, and one per process.
pub fn register_process(registry: &mut Registry, version: &'static str, commit: &'static str) {
    let build = Info::new(vec![("version", version), ("commit", commit)]);
    registry.register("campanile_build", "What is running", build);
    registry.register_collector(Box::new(ProcessCollector));
}

/// The text of all registries, in the order given, as OpenMetrics. Families of the same name become one, as the
/// format demands: give each registry labels that tell them apart.
///
/// # Errors
/// A metric that cannot be written as text.
pub fn encode(registries: &[Arc<Registry>]) -> Result<String, fmt::Error> {
    let mut families: Vec<FamilyText> = Vec::new();
    for registry in registries {
        let mut text = String::new();
        encode_registry(&mut text, registry)?;
        merge(&mut families, &text);
    }
    let mut all: String = families.into_iter().flat_map(|family| [family.header, family.samples]).collect();
    all.push_str("# EOF\n");
    Ok(all)
}

/// One metric family as text.
#[derive(Debug)]
struct FamilyText {
    name: String,
    header: String,
    samples: String,
}

/// Adds the families of one registry's text. A family begins with its HELP line; no sample begins with `#`.
fn merge(families: &mut Vec<FamilyText>, text: &str) {
    let mut current = 0;
    let mut is_new = false;
    for line in text.split_inclusive('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().unwrap_or_default();
            let known = families.iter().position(|family| family.name == name);
            is_new = known.is_none();
            current = known.unwrap_or(families.len());
            if is_new {
                let (header, samples) = (String::new(), String::new());
                families.push(FamilyText { name: name.to_owned(), header, samples });
            }
        }
        let Some(family) = families.get_mut(current) else {
            continue;
        };
        if !line.starts_with('#') {
            family.samples.push_str(line);
        } else if is_new {
            family.header.push_str(line);
        }
    }
}

#[derive(Debug)]
struct ProcessCollector;

/// What `/proc/self` tells; each is left out where it cannot be read.
#[derive(Debug, Default)]
struct ProcessNumbers {
    resident_bytes: Option<u64>,
    allocated_bytes: Option<u64>,
    threads: Option<u64>,
    open_files: Option<u64>,
    most_open_files: Option<u64>,
    cpu: Option<Duration>,
    /// Since 1970.
    started: Option<Duration>,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let numbers = ProcessNumbers::read();
        let mut gauge = |name: &str, help: &str, value: Option<f64>| {
            let Some(gauge) = value.map(ConstGauge::new) else {
                return Ok(());
            };
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let number = |value: Option<u64>| value.map(|value| value as f64);
        let seconds = |value: Option<Duration>| value.map(|value| value.as_secs_f64());
        gauge("process_resident_memory_bytes", "Memory in RAM", number(numbers.resident_bytes))?;
        gauge(
            "process_memory_allocated_bytes",
            "Memory handed out by the allocator",
            number(numbers.allocated_bytes),
        )?;
        gauge("process_threads", "Threads", number(numbers.threads))?;
        gauge("process_tasks", "Asynchronous tasks that are alive", Some(tasks() as f64))?;
        gauge("process_open_fds", "Open file descriptors", number(numbers.open_files))?;
        gauge("process_max_fds", "Limit of open file descriptors", number(numbers.most_open_files))?;
        gauge("process_start_time_seconds", "Start, since 1970", seconds(numbers.started))?;
        if let Some(cpu) = numbers.cpu {
            let counter = ConstCounter::new(cpu.as_secs_f64());
            let (name, help) = ("process_cpu_seconds", "Processor time used");
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// Tasks of the runtime that asks; none where there is no runtime.
fn tasks() -> usize {
    Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks())
}

impl ProcessNumbers {
    #[cfg(not(target_os = "linux"))]
    fn read() -> ProcessNumbers {
        ProcessNumbers::default()
    }

    #[cfg(target_os = "linux")]
    fn read() -> ProcessNumbers {
        use rustix::process::{Resource, getrlimit};
        use std::fs::{read_dir, read_to_string};

        let status = read_to_string("/proc/self/status").unwrap_or_default();
        let stat = read_to_string("/proc/self/stat").unwrap_or_default();
        let boot = read_to_string("/proc/stat").unwrap_or_default();
        let ticks = |field| stat_field(&stat, field).map(of_ticks);
        let boot = value_after(&boot, "btime").map(Duration::from_secs);
        ProcessNumbers {
            resident_bytes: value_after(&status, "VmRSS:").map(|kib| kib.saturating_mul(1024)),
            allocated_bytes: crate::memory::allocated(),
            threads: value_after(&status, "Threads:"),
            // The listing holds a descriptor of its own while it is read.
            open_files: read_dir("/proc/self/fd").ok().map(|list| (list.count() as u64).saturating_sub(1)),
            most_open_files: getrlimit(Resource::Nofile).current,
            cpu: ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
            started: boot.zip(ticks(22)).map(|(boot, since_boot)| boot + since_boot),
        }
    }
}

/// The number that follows `key` at the start of a line.
#[cfg(target_os = "linux")]
fn value_after(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/self/stat`, numbered from 1 as in proc(5). The second is a name in parentheses that may hold
/// anything, so counting starts after its end.
#[cfg(target_os = "linux")]
fn stat_field(stat: &str, field: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
}

#[cfg(target_os = "linux")]
fn of_ticks(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1000) / per_second)
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn families_of_several_registries_become_one() {
        let registry = |node: &'static str, count| {
            let mut registry = Registry::with_labels([("node".into(), node.into())].into_iter());
            let counter = Counter::<u64>::default();
            counter.inc_by(count);
            registry.register("jobs", "Jobs done", counter);
            registry.register(format!("only_{node}"), "One", Counter::<u64>::default());
            Arc::new(registry)
        };
        let text = encode(&[registry("a", 1), registry("b", 2)]).unwrap();
        assert_eq!(
            text,
            "# HELP jobs Jobs done.\n# TYPE jobs counter\n\
             jobs_total{node=\"a\"} 1\njobs_total{node=\"b\"} 2\n\
             # HELP only_a One.\n# TYPE only_a counter\nonly_a_total{node=\"a\"} 0\n\
             # HELP only_b One.\n# TYPE only_b counter\nonly_b_total{node=\"b\"} 0\n# EOF\n"
        );
        assert_eq!(encode(&[]).unwrap(), "# EOF\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_is_read_at_each_scrape() {
        let mut registry = Registry::default();
        register_process(&mut registry, "1.2.3", "abc");
        let registry = [Arc::new(registry)];
        let value = |name: &str| -> f64 {
            let text = encode(&registry).unwrap();
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
            line.trim().parse().unwrap()
        };
        let text = encode(&registry).unwrap();
        assert!(text.contains("campanile_build_info{version=\"1.2.3\",commit=\"abc\"} 1"), "{text}");
        assert!(value("process_resident_memory_bytes ") > 1e6);
        assert!(value("process_memory_allocated_bytes ") > 1e4);
        assert!(value("process_threads ") >= 1.0);
        assert_eq!(value("process_tasks "), 0.0, "no runtime here");
        assert!(value("process_cpu_seconds_total ") >= 0.0);
        assert!(value("process_max_fds ") > 1.0);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let started = value("process_start_time_seconds ");
        assert!(started > now - 86_400.0 && started < now + 2.0, "{started} at {now}");
        // Other tests of this process open files as well: many more than they do tell a fresh reading apart.
        let before = value("process_open_fds ");
        let files: Vec<_> = (0..200).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(value("process_open_fds ") >= before + 100.0);
        drop(files);
    }

    #[tokio::test]
    async fn tasks_are_counted_until_they_have_ended() {
        let mut registry = Registry::default();
        register_process(&mut registry, "1.2.3", "abc");
        let registry = [Arc::new(registry)];
        let has = |tasks: usize| encode(&registry).unwrap().contains(&format!("\nprocess_tasks {tasks}.0\n"));
        assert!(has(0));
        let waiting = tokio::spawn(std::future::pending::<()>());
        assert!(has(1));
        waiting.abort();
        let _ = waiting.await;
        assert!(has(0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_no_field() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 101 102 13 14 15 16 17 18 103 20";
        assert_eq!([14, 15, 22].map(|field| stat_field(stat, field)), [Some(101), Some(102), Some(103)]);
        assert_eq!(stat_field("", 14), None);
        assert_eq!(stat_field(stat, 99), None);
    }
}
