//! Options as people write them: `--max-frame 1KiB`, one in each line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use campanile_gateway::config as gateway;
use campanile_process::settings::{Faults, Kind, Resolver, arguments};
use campanile_topic_server::config as topic_server;
use clap::Command;

use crate::Verdict;

/// Lines of options of a gateway; bytes that are no UTF-8 included.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let command = arguments(arguments(Command::new("options"), gateway::IDENTITY), gateway::LIMITS);
    let words = data.split(|byte| *byte == b'\n').flat_map(|line| line.splitn(2, |byte| *byte == b' '));
    let words = words.map(|word| OsString::from(std::ffi::OsStr::from_bytes(word)));
    let matches = match command.no_binary_name(true).try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Verdict::Refused;
        }
    };
    match check_gateway(Resolver::new(&matches, &[gateway::IDENTITY, gateway::LIMITS], None)) {
        Ok(()) => Verdict::Accepted,
        Err(faults) => {
            assert!(!faults.is_empty() && faults.0.len() <= gateway::LIMITS.len() + gateway::IDENTITY.len());
            for fault in &faults.0 {
                assert!(fault.place.starts_with("--"), "{fault:?} names no option");
                assert!(fault.text.len() > 8, "{fault:?} says nothing");
                assert!(!fault.to_string().contains(char::is_control));
            }
            Verdict::Refused
        }
    }
}

/// A gateway's settings: without a fault all of them are within their bounds.
pub(crate) fn check_gateway(mut resolver: Resolver<'_>) -> Result<(), Faults> {
    let listen = resolver.address("listen");
    let settings = gateway::Settings::resolve(&mut resolver, None, Duration::ZERO);
    resolver.finish()?;
    assert!(listen.is_some());
    let within = |name: &str, value: u64| {
        let setting = gateway::LIMITS.iter().find(|setting| setting.name == name).expect("a setting");
        let (Kind::Bytes { min, max } | Kind::Count { min, max } | Kind::Seconds { min, max }) = setting.kind
        else {
            panic!("{name} is no number")
        };
        assert!((min..=max).contains(&value), "{name} is {value}");
    };
    within("max-frame", settings.client.frame as u64);
    within("client-outbox", settings.client.outbox as u64);
    within("client-send-buffer", settings.client.send_buffer as u64);
    within("client-receive-buffer", settings.client.receive_buffer as u64);
    within("idle-seconds", settings.client.idle.as_secs());
    within("channels-per-session", settings.session.channels as u64);
    within("owner-outbox", settings.owner_outbox as u64);
    within("owner-deadline-seconds", settings.owner_deadline.as_secs());
    Ok(())
}

/// A topic server's settings: without a fault all of them are within their bounds.
pub(crate) fn check_topic_server(mut resolver: Resolver<'_>) -> Result<(), Faults> {
    let settings = topic_server::Settings::resolve(&mut resolver, "ts-a".into(), Duration::ZERO);
    resolver.finish()?;
    assert!((1 << 16..=4 << 30).contains(&settings.link_outbox), "{settings:?}");
    assert!((1..=u32::MAX as usize).contains(&settings.max_topics), "{settings:?}");
    assert!(settings.history_memory <= 1 << 40, "{settings:?}");
    Ok(())
}
