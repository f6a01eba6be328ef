#![no_main]
campanile_fuzz::target!(frame_binary);
