//! The documents against the code, so that neither drifts. Each failure prints what the page should hold, ready to be
//! pasted.
//!
//! [`code_map`] checks ARCHITECTURE.md's list of files and [`named_tests`] the tests that it names, [`settings`] and
//! [`metrics`] the tables of docs/operations.md, [`protocol`] those of docs/protocol.md, [`links`] where pages lead,
//! [`dependencies`] what CONTRIBUTING.md says of them. [`page`] reads pages for all of them.

mod page;

mod code_map;

mod named_tests;

mod settings;

mod metrics;

mod protocol;

mod links;

mod dependencies;
