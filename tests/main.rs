//! The cluster as a whole: what clients may rely on, over real sockets, real links and real processes.
//!
//! [`harness`] is what the tests are written with; it shares no protocol code with the gateway. [`conformance`] holds
//! the Phoenix protocol as transcripts, [`redis_front`] the Redis front, [`cluster`] what several gateways and topic servers do together, in this
//! process, [`processes`] the binary: signals, exit codes, files, the admin port, and [`tidy`] the documents against
//! the code.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect, helpers included"
)]

mod harness;

mod conformance;

mod redis_front;

mod cluster;

mod processes;

mod tidy;
