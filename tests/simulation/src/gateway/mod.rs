//! A gateway of the simulation: the real rules of its topics, between simulated links and the real outboxes of its
//! clients. What is simulated here is what tasks and sockets do in the real one.

mod life;
mod topics;
mod upstream;

pub(crate) use life::Gateway;
pub(crate) use topics::Joined;
pub(crate) use upstream::State;
