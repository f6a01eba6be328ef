//! What gateways and topic servers say to each other.
//!
//! * [`ids`]: incarnations, epochs, offsets, subscription numbers.
//! * [`message`]: complete enums of what each side may say; what the rules of both tiers are written in.
//! * [`transit`]: how long a batch was under way.
//! * [`wire`]: those enums as batches of the generated types, and back with every check.
//! * [`link`]: the generated gRPC client and server, and the settings both ends share.

pub mod ids;
pub mod link;
pub mod message;
pub mod transit;
pub mod wire;

mod generated {
    #![expect(
        missing_docs,
        unreachable_pub,
        clippy::allow_attributes_without_reason,
        reason = "generated from link.proto, which holds the documentation"
    )]
    tonic::include_proto!("campanile.link.v1");
}

pub use ids::{Epoch, Incarnation, LINK_VERSION, Subscription};
pub use message::{Encoding, Found, FromGateway, FromTopicServer, Message, Refusal};
