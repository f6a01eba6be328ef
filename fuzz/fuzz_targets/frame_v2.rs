#![no_main]
campanile_fuzz::target!(frame_v2);
