#![no_main]
campanile_fuzz::target!(handoff);
