//! The Redis front, over real sockets and through real topic servers. That its replies are those of redis-server, byte by
//! byte, is for `tests/redis` to say, where real clients are, too.

mod closes;
mod commands;
mod fronts;
mod limits;
mod subscribing;
