#![no_main]
campanile_fuzz::target!(config_file);
