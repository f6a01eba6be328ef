//! Questions to all topic servers: what each of them has, added up.

use bytes::Bytes;
pub use campanile_proto::names::Space;
pub use campanile_proto::reach::Query;

/// What became of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Shown names of topics with listeners that count, in order.
    Topics(Vec<Bytes>),
    /// How many listeners of each topic count, in the order in which they were asked for.
    Listeners(Vec<u64>),
    /// How many distinct patterns there are.
    Patterns(u64),
}
