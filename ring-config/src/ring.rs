//! The ring as a value: version, virtual nodes, members; who owns a topic; each member's share.

use std::fmt;
use std::path::Path;

use campanile_process::settings::{Fault, Faults, read_text};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::check::{Draft, Findings};
use crate::file;
use crate::member::Member;
use crate::placement::{self, Placement, Point, SEED, WHOLE};

/// Most members that a ring may have.
pub const MEMBERS_MAX: usize = 1_000;

/// Most virtual nodes per unit of weight.
pub const VIRTUAL_NODES_MAX: u32 = 65_536;

/// Virtual nodes per unit of weight where the file names none.
pub const VIRTUAL_NODES_DEFAULT: u32 = 512;

/// Most points (virtual nodes times weight, summed over all members); they take about 24 bytes each.
pub const POINTS_MAX: u64 = 4_000_000;

const EXAMPLE: &str = include_str!("../ring.toml");

/// A checked ring; never changes. It has at least one member.
#[derive(Clone)]
pub struct Ring {
    version: u64,
    virtual_nodes: u32,
    members: Vec<Member>,
    digest: u64,
    placement: Placement,
}

impl Ring {
    /// Reads a ring file. `shown` is its path as faults name it (`ring.toml:7: …`).
    ///
    /// # Errors
    /// All faults of the text at once, in the order of their lines; of broken TOML only the first.
    pub fn parse(shown: &str, text: &str) -> Result<Self, Faults> {
        let mut findings = Findings::default();
        let draft = file::read(text, &mut findings);
        Self::from_draft(draft, findings).map_err(|findings| findings.into_faults(shown, text))
    }

    /// Reads and checks the ring file at `path`, and hands out its text too, which [`crate::RingFile::follow`] wants.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8 or is larger than 16 MiB; else as [`Ring::parse`].
    pub fn read(path: &Path) -> Result<(Self, String), Faults> {
        let shown = path.display().to_string();
        let text = read_text(path)
            .map_err(|error| Fault::new(shown.as_str(), format!("cannot be read: {error}")))?;
        Ok((Self::parse(&shown, &text)?, text))
    }

    /// A ring made by the program.
    ///
    /// # Errors
    /// All faults of the values at once, without lines.
    pub fn new(version: u64, virtual_nodes: u32, members: Vec<Member>) -> Result<Self, Faults> {
        let draft = Draft::from_values(version, virtual_nodes, members);
        Self::from_draft(draft, Findings::default()).map_err(|findings| findings.into_faults("ring", ""))
    }

    fn from_draft(draft: Draft, findings: Findings) -> Result<Self, Findings> {
        let (version, virtual_nodes, mut members) = draft.check(findings)?;
        members.sort_unstable();
        let digest = digest(virtual_nodes, &members);
        let placement = Placement::new(virtual_nodes, &members);
        Ok(Self { version, virtual_nodes, members, digest, placement })
    }

    /// The example ring compiled in: `ts-a` on 127.0.0.1:5001 and `ts-b` on 127.0.0.1:5002, version 1.
    pub fn example() -> Self {
        #[expect(clippy::expect_used, reason = "a test keeps the compiled-in file free of faults")]
        Self::parse("ring.toml", EXAMPLE).expect("the example ring has no fault")
    }

    /// The text of the example ring file, with its comments.
    pub fn example_text() -> &'static str {
        EXAMPLE
    }

    /// The example ring with `members` members: ts-a, ts-b … ts-z, ts-aa … on 127.0.0.1:5001, 5002 ….
    ///
    /// # Errors
    /// No members, or more than [`MEMBERS_MAX`].
    pub fn example_resized(members: usize) -> Result<Self, Faults> {
        let members = (1..=members.min(MEMBERS_MAX + 1)).zip(5001u32..);
        let members = members.map(|(number, port)| {
            Member::new(format!("ts-{}", letters(number)), format!("127.0.0.1:{port}"), 1)
        });
        Self::new(1, VIRTUAL_NODES_DEFAULT, members.collect())
    }

    /// The same ring with each member at the address that `address` gives it. Owners stay the same.
    ///
    /// # Errors
    /// All faults of the new addresses at once.
    pub fn with_addresses(&self, mut address: impl FnMut(&Member) -> String) -> Result<Self, Faults> {
        let members = self.members.iter().map(|member| member.at(address(member))).collect();
        Self::new(self.version, self.virtual_nodes, members)
    }

    /// Grows with every edit; at least 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Hash of the virtual nodes and the members with their addresses and weights; neither of the version nor
    /// of the file's bytes. Version and digest together are the ring's identity. Releases that place topics
    /// differently have different digests for the same file.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Points per unit of weight, from 1 to [`VIRTUAL_NODES_MAX`].
    pub fn virtual_nodes(&self) -> u32 {
        self.virtual_nodes
    }

    /// Virtual nodes times weight, summed over all members: at most [`POINTS_MAX`]. Each takes about 24 bytes.
    pub fn size(&self) -> u64 {
        let weights: u64 = self.members.iter().map(|member| u64::from(member.weight())).sum();
        weights * u64::from(self.virtual_nodes)
    }

    /// The members in the order of their names; never empty.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.binary_search_by(|member| member.name().cmp(name)).ok().map(|index| &self.members[index])
    }

    /// The member that owns `topic`. Does not allocate.
    pub fn owner(&self, topic: &[u8]) -> &Member {
        &self.members[self.owner_index(topic)]
    }

    /// Index in [`Ring::members`] of the member that owns `topic`. Does not allocate.
    pub fn owner_index(&self, topic: &[u8]) -> usize {
        self.placement.owner(topic)
    }

    /// Each member's part of all topics, by index; exact, and 1.0 in sum.
    pub fn shares(&self) -> Vec<f64> {
        self.placement.arcs().iter().map(|&arc| fraction(arc)).collect()
    }

    /// The ring as a file that [`Ring::parse`] reads back.
    pub fn to_toml(&self) -> String {
        file::write(self)
    }

    /// The points of all members in order. Computed anew.
    pub(crate) fn points(&self) -> Vec<Point> {
        placement::points(SEED, self.virtual_nodes, &self.members)
    }
}

/// Equal in version and all values.
impl PartialEq for Ring {
    fn eq(&self, other: &Self) -> bool {
        (self.version, self.virtual_nodes, &self.members)
            == (other.version, other.virtual_nodes, &other.members)
    }
}

impl Eq for Ring {}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("version", &self.version)
            .field("digest", &format_args!("{:016x}", self.digest))
            .field("virtual_nodes", &self.virtual_nodes)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

/// A length on the ring as a part of the whole.
pub(crate) fn fraction(arc: u128) -> f64 {
    arc as f64 / WHOLE as f64
}

/// Every value with its length before it, so that no two rings give the same bytes.
fn digest(virtual_nodes: u32, members: &[Member]) -> u64 {
    let mut bytes = Vec::new();
    bytes.extend(virtual_nodes.to_be_bytes());
    for member in members {
        for text in [member.name(), member.address()] {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(member.weight().to_be_bytes());
    }
    xxh3_64_with_seed(&bytes, SEED)
}

/// a, b … z, aa, ab … for 1, 2 ….
fn letters(mut number: usize) -> String {
    let mut letters = Vec::new();
    while number > 0 {
        number -= 1;
        letters.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    letters.iter().rev().collect()
}
