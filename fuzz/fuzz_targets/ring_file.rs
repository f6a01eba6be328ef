#![no_main]
campanile_fuzz::target!(ring_file);
