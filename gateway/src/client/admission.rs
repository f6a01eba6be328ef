//! Who may connect: how many at a time, how many from one address, none while memory is short, and how fast. Plain
//! counting; sockets are the business of `accept`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_process::memory::Pressure;
use campanile_process::token_bucket::{Rate, TokenBucket};
use parking_lot::Mutex;

/// Of an IPv6 address so many bits count: what one household or machine gets as a rule.
const V6_PREFIX: u32 = 64;

/// What a gateway takes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Connections at a time; `None` for no bound but the system's.
    pub connections: Option<usize>,
    /// Connections at a time from one address; `None` for no bound.
    pub per_address: Option<usize>,
    /// How fast connections are taken; `None` for as fast as they come.
    pub pace: Option<Rate>,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The gateway has as many connections as it may have.
    Full,
    /// This address has as many connections as it may have.
    Address,
    /// The process has no memory to spare.
    Memory,
}

/// The connections of a gateway, counted.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    memory: Pressure,
    open: Mutex<Open>,
    pacer: Mutex<TokenBucket>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    /// Only with a bound per address, and only of addresses that have some.
    of_address: HashMap<IpAddr, usize>,
}

/// A connection's place: it is free again when this is dropped, however the connection ended.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Turned {
    /// All reasons, in the order of the docs.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Full, Self::Address];

    /// The HTTP status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::Full | Self::Memory => 503,
            Self::Address => 429,
        }
    }

    /// The body of the answer.
    pub fn text(self) -> &'static str {
        match self {
            Self::Memory => "this gateway is short of memory",
            Self::Full => "this gateway has as many connections as it may have",
            Self::Address => "this address has as many connections as it may have",
        }
    }

    /// A word for labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Memory => "memory",
        }
    }
}

impl Admission {
    /// Nobody is connected.
    pub fn new(bounds: Bounds, memory: Pressure) -> Arc<Self> {
        Arc::new(Self { bounds, memory, open: Mutex::default(), pacer: Mutex::default() })
    }

    /// Whether one more connection may be taken now.
    ///
    /// # Errors
    /// Not yet: how long until it may.
    pub fn pace(&self, now: Instant) -> Result<(), Duration> {
        self.bounds.pace.map_or(Ok(()), |rate| self.pacer.lock().take(rate, now))
    }

    /// A place for a connection from this address.
    ///
    /// # Errors
    /// There is none.
    pub fn admit(self: &Arc<Self>, from: IpAddr) -> Result<Arc<Place>, Turned> {
        self.check_memory()?;
        let mut open = self.open.lock();
        if self.bounds.connections.is_some_and(|bound| open.all >= bound) {
            return Err(Turned::Full);
        }
        let address = self.bounds.per_address.map(|bound| (counted_as(from), bound));
        if let Some((address, bound)) = address {
            let has = open.of_address.get(&address).copied().unwrap_or(0);
            if has >= bound {
                return Err(Turned::Address);
            }
            open.of_address.insert(address, has + 1);
        }
        open.all += 1;
        Ok(Arc::new(Place { admission: Arc::clone(self), address: address.map(|(address, _)| address) }))
    }

    /// Whether there is memory for one that has its place already and wants to stay.
    ///
    /// # Errors
    /// There is none.
    pub fn check_memory(&self) -> Result<(), Turned> {
        if self.memory.is_high() { Err(Turned::Memory) } else { Ok(()) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.all -= 1;
        if let Some(address) = self.address
            && let Some(has) = open.of_address.get_mut(&address)
        {
            *has -= 1;
            if *has == 0 {
                open.of_address.remove(&address);
            }
        }
    }
}

/// What stands for an address: of IPv6 its first half, and IPv4 the same however it is written.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - V6_PREFIX)))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn admission(connections: Option<usize>, per_address: Option<usize>) -> Arc<Admission> {
        Admission::new(Bounds { connections, per_address, pace: None }, Pressure::default())
    }

    fn turned(admission: &Arc<Admission>, from: &str) -> Option<Turned> {
        admission.admit(ip(from)).err()
    }

    #[test]
    fn a_place_is_free_again_when_its_last_holder_lets_go() {
        let admission = admission(Some(2), None);
        let first = admission.admit(ip("10.0.0.1")).expect("a place");
        let second = admission.admit(ip("10.0.0.1")).expect("a place");
        assert_eq!(turned(&admission, "10.0.0.2"), Some(Turned::Full));
        // The HTTP connection and the session that follows it hold the same place.
        let session = Arc::clone(&first);
        drop(first);
        assert_eq!(turned(&admission, "10.0.0.2"), Some(Turned::Full));
        drop(session);
        assert_eq!(turned(&admission, "10.0.0.2"), None);
        drop(second);
        assert_eq!(admission.open.lock().all, 0);
    }

    #[test]
    fn each_address_has_its_own_count_and_none_is_left_behind() {
        let admission = admission(None, Some(2));
        let mut places: Vec<_> = (0..2).map(|_| admission.admit(ip("10.0.0.1")).expect("a place")).collect();
        assert_eq!(turned(&admission, "10.0.0.1"), Some(Turned::Address));
        assert_eq!(
            turned(&admission, "::ffff:10.0.0.1"),
            Some(Turned::Address),
            "the same, written otherwise"
        );
        places.push(admission.admit(ip("10.0.0.2")).expect("a place"));
        places.remove(0);
        places.push(admission.admit(ip("10.0.0.1")).expect("a place"));
        assert_eq!(turned(&admission, "10.0.0.1"), Some(Turned::Address));
        places.clear();
        assert!(admission.open.lock().of_address.is_empty());
        assert_eq!(admission.open.lock().all, 0);
    }

    #[test]
    fn of_ipv6_the_first_half_counts() {
        let admission = admission(None, Some(1));
        let _place = admission.admit(ip("2001:db8:1:2::1")).expect("a place");
        assert_eq!(turned(&admission, "2001:db8:1:2:ffff:ffff:ffff:ffff"), Some(Turned::Address));
        assert_eq!(turned(&admission, "2001:db8:1:3::1"), None);
    }

    #[test]
    fn who_is_refused_is_not_counted() {
        let admission = admission(Some(10), Some(1));
        let place = admission.admit(ip("10.0.0.1")).expect("a place");
        for _ in 0..100 {
            assert_eq!(turned(&admission, "10.0.0.1"), Some(Turned::Address));
        }
        drop(place);
        assert_eq!(turned(&admission, "10.0.0.1"), None);
    }

    #[test]
    fn nobody_is_admitted_while_memory_is_short() {
        let memory = Pressure::default();
        let admission = Admission::new(Bounds::default(), memory.clone());
        let place = admission.admit(ip("10.0.0.1"));
        memory.set(true);
        assert_eq!(turned(&admission, "10.0.0.1"), Some(Turned::Memory));
        assert_eq!(admission.check_memory(), Err(Turned::Memory));
        memory.set(false);
        assert_eq!(turned(&admission, "10.0.0.1"), None);
        drop(place);
    }

    #[test]
    fn a_storm_is_paced_and_a_calm_start_is_not() {
        let bounds = Bounds { pace: Some(Rate::new(5000, 500)), ..Bounds::default() };
        let (storm, calm) = [(); 2].map(|()| Admission::new(bounds, Pressure::default())).into();
        let start = Instant::now();
        let at = |us| start + Duration::from_micros(us);
        // One every 50 µs, for a second.
        let taken = (0..20_000).filter(|number| storm.pace(at(50 * number)).is_ok()).count();
        assert!((5400..=5500).contains(&taken), "{taken}");
        // One every 200 µs.
        assert!((0..50_000).all(|number| calm.pace(at(200 * number)).is_ok()));
    }
}
