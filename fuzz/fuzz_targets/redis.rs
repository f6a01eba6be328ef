#![no_main]
campanile_fuzz::target!(redis);
