//! The ring as the other crates see it.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect, helpers included")]

mod placement;

mod properties;

mod faults;

mod edits;

mod adoption;

mod topic_rules;
