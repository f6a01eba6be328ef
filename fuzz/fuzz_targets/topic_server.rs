#![no_main]
campanile_fuzz::target!(topic_server);
