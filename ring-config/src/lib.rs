//! The ring: which topic server owns which topics, as a file that people edit and as a value that every
//! gateway and topic server computes alike.
//!
//! In reading order: a [`Member`] and what it may be; [`mod@ring`], the value; `file`, `fields` and `check`, from
//! TOML to that value with all faults at once; `placement`, where topics lie; [`diff`], what an edit moves;
//! [`edit`], edits that keep the file's comments; [`watch`], which edits a running process adopts, and [`offers`],
//! which rings it hears of from others; and [`topics`], the rules of topics in `campanile.toml`, which both tiers
//! read.

pub mod member;
pub mod ring;

mod check;
mod fields;
mod file;
mod placement;

pub mod diff;
pub mod edit;
pub mod offers;
pub mod topics;
pub mod watch;

pub use diff::Movement;
pub use member::Member;
pub use offers::{Feed, Offers};
pub use ring::Ring;
pub use topics::TopicRules;
pub use watch::{FollowedRing, RingEvent, RingFile};
