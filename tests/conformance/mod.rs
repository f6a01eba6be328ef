//! The Phoenix protocol: transcripts played on a real gateway with a real topic server. Names begin with the row of
//! the protocol page that they replay, where there is one.

mod binary;
mod channels;
mod closes;
mod handshake;
mod held;
mod http;
mod join_refs;
mod leaving;
mod limits;
mod malformed;
mod order;
mod origin;
mod pings;
mod publishing;
mod topics;
mod v1;
mod versions;
