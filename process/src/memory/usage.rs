//! How much memory this process uses, and how much it may use. Linux tells; elsewhere nobody knows.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Where the files of cgroups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Bytes in RAM that this process needs: all that it has there, but for what its allocator keeps for later. An
/// allocator gives little back, so that after a flood the first number alone would never fall again. Finding out the
/// second takes a while: at or below `enough` it is left out.
pub fn used(enough: u64) -> Option<u64> {
    let resident = resident()?;
    Some(if resident <= enough { resident } else { allocator().map_or(resident, |it| it.needed(resident)) })
}

/// Bytes that the allocator has handed out and not got back, whatever of it lies in RAM; where it is one that says so. Who
/// looks for a leak wants this number: it falls at once when something is freed.
pub fn allocated() -> Option<u64> {
    allocator().map(Allocator::handed_out)
}

/// What an allocator says of itself, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allocator {
    /// Got from the system.
    taken: u64,
    /// Kept for later.
    free: u64,
}

impl Allocator {
    /// What of a process's memory in RAM is in use. What is free need not be in RAM: never less than was handed out.
    fn needed(self, resident: u64) -> u64 {
        resident.saturating_sub(self.free).max(self.handed_out().min(resident))
    }

    fn handed_out(self) -> u64 {
        self.taken.saturating_sub(self.free)
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn allocator() -> Option<Allocator> {
    use malloc_info::info::{SystemType, TotalType};

    let info = malloc_info::malloc_info().ok()?;
    let mut numbers = Allocator { taken: 0, free: 0 };
    for system in info.system.iter().filter(|system| system.r#type == SystemType::Current) {
        numbers.taken += system.size as u64;
    }
    for total in &info.total {
        match total.r#type {
            TotalType::Fast | TotalType::Rest => numbers.free += total.size as u64,
            TotalType::Mmap => numbers.taken += total.size as u64,
            TotalType::Other => {}
        }
    }
    Some(numbers)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn allocator() -> Option<Allocator> {
    None
}

/// Bytes in RAM of this process.
fn resident() -> Option<u64> {
    let statm = read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}

/// Bytes that this process may use before the kernel ends it: what its cgroup allows, or what the machine has, whichever
/// is less.
pub fn limit() -> Option<u64> {
    limit_by(|path| read_to_string(path).ok())
}

fn limit_by(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    });
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let files = groups.lines().flat_map(files_of);
    // "max", where a group sets no limit, is no number.
    let allowed = files.filter_map(|path| read(&path)?.trim().parse().ok());
    allowed.chain(machine).min()
}

/// The files that may limit a group: its own and those of the groups around it. In a container the path may be that of
/// the host, of which only the root is to be seen.
fn files_of(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (root, names): (PathBuf, &[&str]) = match controllers {
        "" => (CGROUPS.into(), &["memory.max", "memory.high"]),
        _ if controllers.split(',').any(|name| name == "memory") => {
            (Path::new(CGROUPS).join("memory"), &["memory.limit_in_bytes"])
        }
        _ => return Vec::new(),
    };
    let own = root.join(path.trim_start_matches('/'));
    let around = own.ancestors().take_while(|group| group.starts_with(&root));
    around.flat_map(|group| names.iter().map(|name| group.join(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");

    fn limit_with(files: &[(&str, &str)]) -> Option<u64> {
        limit_by(|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_least_of_all_limits_counts() {
        assert_eq!(limit_with(&[]), None);
        assert_eq!(limit_with(&[MEMINFO]), Some(16 << 20));
        let group = ("/proc/self/cgroup", "0::/a.slice/b.service\n");
        let own = |text| ("/sys/fs/cgroup/a.slice/b.service/memory.max", text);
        assert_eq!(limit_with(&[MEMINFO, group, own("max\n")]), Some(16 << 20));
        assert_eq!(limit_with(&[MEMINFO, group, own("1048576\n")]), Some(1 << 20));
        let around = ("/sys/fs/cgroup/a.slice/memory.high", "4096\n");
        assert_eq!(limit_with(&[MEMINFO, group, own("1048576\n"), around]), Some(4096));
        assert_eq!(limit_with(&[MEMINFO, group, own("99999999999\n")]), Some(16 << 20));
    }

    #[test]
    fn a_container_sees_the_root_alone() {
        let group = ("/proc/self/cgroup", "0::/../../host/path\n");
        assert_eq!(limit_with(&[MEMINFO, group, ("/sys/fs/cgroup/memory.max", "5000\n")]), Some(5000));
    }

    #[test]
    fn the_first_version_of_cgroups_has_a_file_of_its_own() {
        let groups = ("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\nnonsense\n1:name=y:/x\n");
        let own = ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit_with(&[MEMINFO, groups, own]), Some(16 << 20));
        let around = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8192\n");
        assert_eq!(limit_with(&[MEMINFO, groups, own, around]), Some(8192));
    }

    #[test]
    fn what_the_allocator_keeps_does_not_count() {
        let needed = |taken, free, resident| Allocator { taken, free }.needed(resident);
        assert_eq!(needed(800, 300, 1000), 700);
        assert_eq!(needed(0, 0, 1000), 1000, "another allocator than the one that was asked");
        assert_eq!(needed(1800, 900, 1000), 900, "most of what is free is not in RAM");
        assert_eq!(needed(5000, 900, 1000), 1000, "never more than there is");
        assert_eq!(needed(0, 5000, 1000), 0);
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn after_a_flood_what_was_freed_does_not_count() {
        const BYTES: u64 = 64 << 20;
        let (before, allocated_before) = (used(0).unwrap(), allocated().unwrap());
        let mut flood: Vec<Box<[u8; 1024]>> = (0..BYTES / 1024).map(|_| Box::new([1; 1024])).collect();
        let full = used(0).unwrap();
        assert!(full >= before + BYTES / 4 * 3, "{before}, {full}");
        let allocated_full = allocated().unwrap();
        assert!(allocated_full >= allocated_before + BYTES / 4 * 3, "{allocated_before}, {allocated_full}");
        // Those that stay keep the rest from being given back.
        let mut number = 0;
        flood.retain(|_| {
            number += 1;
            number % 50 == 0
        });
        let (after, resident) = (used(0).unwrap(), resident().unwrap());
        assert!(after + BYTES / 4 * 3 <= full, "{before}, {full}, {after}, of {resident}");
        let allocated = allocated().unwrap();
        assert!(allocated + BYTES / 4 * 3 <= allocated_full, "{allocated_full}, {allocated}");
        assert!(used(u64::MAX).unwrap() >= after, "at most that: nobody needs to know it better");
        drop(flood);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_some_memory_and_there_is_more() {
        let used = used(0).unwrap();
        assert!(used > 1 << 20 && used < limit().unwrap(), "{used} of {:?}", limit());
    }
}
