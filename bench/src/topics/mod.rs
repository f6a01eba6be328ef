//! Workload `topics`: one topic server with very many topics, seen through a link of one gateway.
//!
//! It speaks the link, as a gateway does, with the types of `campanile-proto`: the one exception to the rule that the
//! generator shares no code with the servers. Clients' protocols have a second implementation here; the link has none
//! anywhere, and a million topics cannot be made through gateways without measuring those instead. Only the types and
//! their wire form are shared; who may say what when is the generator's own.
//!
//! In reading order:
//!
//! * [`settings`]: the options;
//! * [`run`]: subscribe, warm up, measure, let the last deliveries arrive, report;
//! * [`session`]: one link while it is used: what is sent, what comes;
//! * [`board`]: what every topic has been sent, and what may come next. Pure;
//! * [`body`]: the payloads, each with its topic and number. Pure;
//! * [`link`]: the gRPC stream: opened and greeted.

mod run;
mod settings;

mod board;
mod body;
mod link;
mod session;

pub(crate) use run::run;
pub(crate) use settings::{Settings, command};
