//! What gateways and topic servers say to each other, and topic servers among themselves.
//!
//! * [`ids`]: incarnations, epochs, offsets, subscription numbers.
//! * [`message`]: complete enums of what each side may say; what the rules of both tiers are written in.
//! * [`glob`]: whether a name matches a pattern.
//! * [`names`]: the spaces of topics.
//! * [`reach`]: whom a publish reaches: counts, patterns, and questions about them.
//! * [`planted`]: faults that the simulation plants into the rules.
//! * [`transit`]: how long a batch was under way.
//! * [`wire`]: those enums as batches of the generated types, and back with every check.
//! * [`link`]: the generated gRPC client and server, and the settings both ends share.
//! * [`codec`]: how large a message may become before it is decoded.
//! * [`handoff`]: the same for what topic servers say to each other.

pub mod codec;
pub mod glob;
pub mod handoff;
pub mod ids;
pub mod link;
pub mod message;
pub mod names;
pub mod planted;
pub mod reach;
pub mod transit;
pub mod wire;

mod generated {
    #![expect(
        missing_docs,
        unreachable_pub,
        clippy::allow_attributes_without_reason,
        reason = "generated from the .proto files, which hold the documentation"
    )]
    tonic::include_proto!("campanile.link.v1");
}

pub use ids::{Epoch, Incarnation, LINK_VERSION, Subscription};
pub use message::{Encoding, Found, FromGateway, FromTopicServer, Message, Refusal};
