#![no_main]
campanile_fuzz::target!(from_gateway);
