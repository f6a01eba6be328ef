//! What several gateways and topic servers do together.

mod admission;
mod coalescing;
mod deadlines;
mod drop_oldest;
mod fanout;
mod garbage;
mod half_dead;
mod handoff;
mod handoff_faults;
mod handoff_places;
mod handoff_strangers;
mod linger;
mod link_refused;
mod memory;
mod moves;
mod once_per_gateway;
mod one_order;
mod overload;
mod positions;
mod rates;
mod readiness;
mod resends;
mod restarts;
mod topic_links;
mod wrong_owner;
