//! CPU time and resident memory of other processes, read from Linux's `/proc`, and this thread's own CPU time.

use std::time::Duration;
use std::{fs, io};

use rustix::time::{ClockId, clock_gettime};

/// One reading of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The process's name, as `ps` shows it.
    pub(crate) name: String,
    /// CPU time of all its threads since it began, user and system.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) rss: u64,
}

/// Reads one process. The error says what to do.
pub(crate) fn sample(pid: u32) -> Result<Sample, String> {
    let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
    let stat = file("stat").map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if cfg!(target_os = "linux") => {
            format!("--pid {pid}: there is no such process (any more)")
        }
        io::ErrorKind::NotFound => format!("--pid {pid}: process figures need Linux's /proc"),
        _ => format!("--pid {pid}: {error}"),
    })?;
    let (name, cpu) =
        parse_stat(&stat).ok_or_else(|| format!("--pid {pid}: /proc/{pid}/stat is not readable"))?;
    // The roll-up is exact; `status` lags by some pages per CPU but needs no rights.
    let rss = file("smaps_rollup")
        .ok()
        .and_then(|text| kilobytes(&text, "Rss:"))
        .or_else(|| file("status").ok().and_then(|text| kilobytes(&text, "VmRSS:")))
        .unwrap_or(0);
    Ok(Sample { name, cpu, rss })
}

fn parse_stat(stat: &str) -> Option<(String, Duration)> {
    // The name stands in parentheses and may hold spaces and parentheses itself.
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some((name, Duration::from_secs_f64(ticks as f64 / per_second as f64)))
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// CPU time of the calling thread.
pub(crate) fn own_thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A reading of all the named processes and of this thread, at one time.
#[derive(Debug)]
pub(crate) struct Reading {
    processes: Vec<(u32, Option<Sample>)>,
    own_cpu: Duration,
    taken: std::time::Instant,
}

/// Reads all; a process that is gone has no sample.
pub(crate) fn read(pids: &[u32]) -> Reading {
    let processes = pids.iter().map(|&pid| (pid, sample(pid).ok())).collect();
    Reading { processes, own_cpu: own_thread_cpu(), taken: std::time::Instant::now() }
}

/// One process between two readings.
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    pub(crate) pid: u32,
    /// `None` if the process ended between the readings.
    pub(crate) figures: Option<Figures>,
}

/// What a process used between two readings.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) cpu: Duration,
    pub(crate) rss_before: u64,
    pub(crate) rss_after: u64,
}

impl Reading {
    /// When it was taken.
    pub(crate) fn taken(&self) -> std::time::Instant {
        self.taken
    }

    /// This reading with the memory of another: for CPU and memory counted from different times.
    pub(crate) fn with_memory_of(mut self, other: &Reading) -> Self {
        for ((_, sample), (_, from)) in self.processes.iter_mut().zip(&other.processes) {
            if let (Some(sample), Some(from)) = (sample, from) {
                sample.rss = from.rss;
            }
        }
        self
    }

    /// What each process used from this reading to a later one of the same processes.
    pub(crate) fn until(&self, later: &Reading) -> Vec<Usage> {
        let pairs = self.processes.iter().zip(&later.processes);
        pairs
            .map(|((pid, before), (_, after))| Usage {
                pid: *pid,
                figures: before.as_ref().zip(after.as_ref()).map(|(before, after)| Figures {
                    name: after.name.clone(),
                    cpu: after.cpu.saturating_sub(before.cpu),
                    rss_before: before.rss,
                    rss_after: after.rss,
                }),
            })
            .collect()
    }

    /// This thread's share of one CPU from this reading to a later one, 0 to 1.
    pub(crate) fn own_share_until(&self, later: &Reading) -> f64 {
        let wall = later.taken.duration_since(self.taken).as_secs_f64();
        later.own_cpu.saturating_sub(self.own_cpu).as_secs_f64() / wall.max(f64::EPSILON)
    }
}

/// CPU time of all processes together.
pub(crate) fn total_cpu(usage: &[Usage]) -> Duration {
    usage.iter().filter_map(|usage| usage.figures.as_ref()).map(|figures| figures.cpu).sum()
}

/// Growth of all processes' resident memory together, in bytes; negative if they shrank.
pub(crate) fn total_growth(usage: &[Usage]) -> i64 {
    let grown = |figures: &Figures| figures.rss_after.cast_signed() - figures.rss_before.cast_signed();
    usage.iter().filter_map(|usage| usage.figures.as_ref()).map(grown).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_hostile_name() {
        let line = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 100 200 300";
        let (name, cpu) = parse_stat(line).unwrap();
        assert_eq!(name, "a) b (c");
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert!((cpu.as_secs_f64() - 300.0 / ticks).abs() < 1e-9);
        assert!(parse_stat("12 (a) S 1 2").is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn own_process_grows_and_works() {
        let before = read(&[std::process::id()]);
        let ballast = vec![1u8; 32 << 20];
        let begun = own_thread_cpu();
        while own_thread_cpu() - begun < Duration::from_millis(60) {}
        let after = read(&[std::process::id()]);
        assert!(ballast.iter().all(|&byte| byte == 1));
        let usage = before.until(&after);
        assert!(total_growth(&usage) >= 30 << 20, "{usage:?}");
        assert!(total_cpu(&usage) >= Duration::from_millis(40), "{usage:?}");
        assert!(before.own_share_until(&after) > 0.0);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        assert!(sample(u32::MAX).unwrap_err().starts_with("--pid 4294967295: "));
    }
}
