//! Table-driven settings: one block of names, defaults, bounds and help gives the command line, the environment
//! variables and the keys of the config file. Flag over variable over file over default; every fault is kept and
//! shown at once, each with its place, the value, the bounds and what to do.

mod table;
pub use table::{Kind, Setting, arguments};

mod file;
pub use file::{ConfigFile, line_of, nearest, read_text};

mod value;
pub use value::parse_address;

mod resolver;
pub use resolver::Resolver;

mod fault;
pub use fault::{Fault, Faults};
