//! The network: connections of two directions, each of which keeps its order and takes its time. A direction that is
//! cut keeps what was sent until it heals or the connection ends; then the rest of it is lost from some point on, and
//! what was sent before comes late, ahead of the end (rule L2).

use std::collections::{BTreeMap, VecDeque};

use campanile_proto::handoff::FromPeer;
use campanile_proto::{FromGateway, FromTopicServer, Incarnation};

use crate::plan::Process;

/// Simulated time in microseconds since the run's beginning.
pub(crate) type Micros = u64;

/// A connection, by its number.
pub(crate) type Line = u64;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Dialer,
    Acceptor,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }

    fn index(self) -> usize {
        usize::from(self == Self::Acceptor)
    }
}

/// What the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Link,
    Handoff,
}

/// What travels: a batch, as its receiver decodes it, or the end of the stream.
#[derive(Debug)]
pub(crate) enum Packet {
    Gateway { ring_version: u64, age_us: u64, items: Vec<FromGateway> },
    Server { ring_version: u64, items: Vec<FromTopicServer> },
    Peer { ring_version: u64, items: Vec<FromPeer> },
    Close,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) purpose: Purpose,
    /// Dialer and acceptor.
    processes: [Process; 2],
    lives: [Incarnation; 2],
    flows: [Flow; 2],
    /// Which ends have not been closed by their own side.
    open: [bool; 2],
    pub(crate) opened: Micros,
}

#[derive(Debug, Default)]
struct Flow {
    packets: VecDeque<(Micros, Packet)>,
    last: Micros,
    latency: Micros,
    ended: bool,
    writing: bool,
}

/// All connections, and what is cut.
#[derive(Debug)]
pub(crate) struct Network {
    random: fastrand::Rng,
    lines: BTreeMap<Line, Connection>,
    next: Line,
    /// Until when nothing passes from one to the other.
    cut: BTreeMap<(Process, Process), Micros>,
    slow: BTreeMap<(Process, Process), (Micros, Micros)>,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed ^ 0x5eed_0003),
            lines: BTreeMap::new(),
            next: 0,
            cut: BTreeMap::new(),
            slow: BTreeMap::new(),
        }
    }

    pub(crate) fn open(
        &mut self,
        purpose: Purpose,
        dialer: (Process, Incarnation),
        acceptor: (Process, Incarnation),
        now: Micros,
    ) -> Line {
        self.next += 1;
        let mut flow = || {
            let latency = match self.random.u32(..100) {
                0..4 => self.random.u64(20_000..80_000),
                4..14 => self.random.u64(4_000..20_000),
                _ => self.random.u64(100..4_000),
            };
            Flow { latency, last: now, ..Flow::default() }
        };
        let connection = Connection {
            purpose,
            processes: [dialer.0, acceptor.0],
            lives: [dialer.1, acceptor.1],
            flows: [flow(), flow()],
            open: [true, true],
            opened: now,
        };
        self.lines.insert(self.next, connection);
        self.next
    }

    pub(crate) fn get(&self, line: Line) -> Option<&Connection> {
        self.lines.get(&line)
    }

    /// When this end has closed itself, or the connection is over, it hears and says nothing.
    pub(crate) fn is_open(&self, line: Line, end: End) -> bool {
        self.lines.get(&line).is_some_and(|connection| connection.open[end.index()])
    }

    pub(crate) fn is_cut(&self, from: Process, to: Process, now: Micros) -> bool {
        self.cut.get(&(from, to)).is_some_and(|until| *until > now)
    }

    pub(crate) fn cut(&mut self, from: Process, to: Process, until: Micros) {
        let old = self.cut.entry((from, to)).or_default();
        *old = until.max(*old);
    }

    pub(crate) fn slow(&mut self, one: Process, other: Process, by: Micros, until: Micros) {
        self.slow.insert((one, other), (by, until));
        self.slow.insert((other, one), (by, until));
    }

    pub(crate) fn heal_all(&mut self) {
        self.cut.clear();
        self.slow.clear();
    }

    /// Whether this end's writer may put one more batch on its way: not if too much lies there already.
    pub(crate) fn takes(&self, line: Line, from: End, now: Micros) -> bool {
        let Some(connection) = self.lines.get(&line) else { return true };
        let (own, other) = connection.from(from);
        !self.is_cut(own, other, now) || connection.flows[from.index()].packets.len() < 3
    }

    /// Says whether a write is to be planned, and notes that it is.
    pub(crate) fn begin_write(&mut self, line: Line, from: End) -> bool {
        let Some(connection) = self.lines.get_mut(&line) else { return false };
        let flow = &mut connection.flows[from.index()];
        !flow.ended && !std::mem::replace(&mut flow.writing, true)
    }

    pub(crate) fn end_write(&mut self, line: Line, from: End) {
        if let Some(connection) = self.lines.get_mut(&line) {
            connection.flows[from.index()].writing = false;
        }
    }

    /// Sends. Returns when it arrives, if nothing comes between.
    pub(crate) fn send(&mut self, line: Line, from: End, packet: Packet, now: Micros) -> Option<Micros> {
        let connection = self.lines.get_mut(&line)?;
        let (own, other) = connection.from(from);
        let flow = &mut connection.flows[from.index()];
        if flow.ended {
            return None;
        }
        let slow = self.slow.get(&(own, other)).filter(|(_, until)| *until > now).map_or(0, |(by, _)| *by);
        let jitter = match self.random.u32(..100) {
            0 => self.random.u64(..20_000),
            _ => self.random.u64(..600),
        };
        flow.ended = matches!(packet, Packet::Close);
        flow.last = flow.last.max(now + flow.latency + slow + jitter);
        flow.packets.push_back((flow.last, packet));
        Some(flow.last)
    }

    /// The next packet for this end, if it has arrived.
    pub(crate) fn receive(&mut self, line: Line, to: End, now: Micros) -> Option<Packet> {
        let connection = self.lines.get_mut(&line)?;
        let (from, own) = connection.from(to.other());
        if self.cut.get(&(from, own)).is_some_and(|until| *until > now) {
            return None;
        }
        let flow = &mut connection.flows[to.other().index()];
        if flow.packets.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, packet) = flow.packets.pop_front()?;
        if !connection.open[to.index()] {
            // Nobody reads any more.
            self.drop_if_over(line);
            return None;
        }
        Some(packet)
    }

    /// One end closes itself: what it has sent comes late, or is lost from some point on, and then the end.
    /// `silent` if the other is not told. Returns when the other hears of it.
    pub(crate) fn close(&mut self, line: Line, end: End, silent: bool, now: Micros) -> Option<Micros> {
        let connection = self.lines.get_mut(&line)?;
        if !std::mem::replace(&mut connection.open[end.index()], false) {
            return None;
        }
        connection.flows[end.other().index()].packets.clear();
        connection.flows[end.other().index()].ended = true;
        self.end_flow(line, end, silent, now)
    }

    /// The network breaks a connection. Returns when each end hears of it.
    pub(crate) fn reset(&mut self, line: Line, now: Micros) -> Vec<(End, Micros)> {
        let mut told = Vec::new();
        for end in [End::Dialer, End::Acceptor] {
            if let Some(at) = self.end_flow(line, end, false, now) {
                told.push((end.other(), at));
            }
        }
        told
    }

    fn end_flow(&mut self, line: Line, from: End, silent: bool, now: Micros) -> Option<Micros> {
        let connection = self.lines.get_mut(&line)?;
        let flow = &mut connection.flows[from.index()];
        if flow.ended {
            self.drop_if_over(line);
            return None;
        }
        // What is on its way may get lost, from some point on, but never out of its middle.
        if !flow.packets.is_empty() && self.random.bool() {
            let kept = self.random.usize(..=flow.packets.len());
            flow.packets.truncate(kept);
        }
        if silent {
            flow.ended = true;
            self.drop_if_over(line);
            return None;
        }
        let wait = if self.random.bool() { self.random.u64(..2_000) } else { self.random.u64(..400_000) };
        flow.ended = true;
        flow.last = flow.last.max(now + wait);
        flow.packets.push_back((flow.last, Packet::Close));
        Some(flow.last)
    }

    fn drop_if_over(&mut self, line: Line) {
        if self.lines.get(&line).is_some_and(|connection| connection.open == [false, false]) {
            self.lines.remove(&line);
        }
    }

    /// All connections between two processes.
    pub(crate) fn between(&self, one: Process, other: Process) -> Vec<Line> {
        let is_between = |own: &Connection| own.processes == [one, other] || own.processes == [other, one];
        self.lines.iter().filter(|(_, own)| is_between(own)).map(|(line, _)| *line).collect()
    }

    /// All connections of a process, with its own end.
    pub(crate) fn of(&self, process: Process, life: Incarnation) -> Vec<(Line, End)> {
        let mut found = Vec::new();
        for (line, connection) in &self.lines {
            for end in [End::Dialer, End::Acceptor] {
                let index = end.index();
                if connection.processes[index] == process && connection.lives[index] == life {
                    found.push((*line, end));
                }
            }
        }
        found
    }

    /// Every connection.
    pub(crate) fn all(&self) -> Vec<Line> {
        self.lines.keys().copied().collect()
    }
}

impl Connection {
    /// Who sends and who receives what this end says.
    fn from(&self, end: End) -> (Process, Process) {
        let [dialer, acceptor] = self.processes;
        match end {
            End::Dialer => (dialer, acceptor),
            End::Acceptor => (acceptor, dialer),
        }
    }

    pub(crate) fn process(&self, end: End) -> Process {
        self.processes[end.index()]
    }

    pub(crate) fn life(&self, end: End) -> Incarnation {
        self.lives[end.index()]
    }
}
