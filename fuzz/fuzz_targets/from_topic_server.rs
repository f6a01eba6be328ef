#![no_main]
campanile_fuzz::target!(from_topic_server);
