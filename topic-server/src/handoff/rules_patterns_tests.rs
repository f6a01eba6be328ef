//! Gateways with patterns, while topics move: whoever takes topics over knows of them before it serves any.

use campanile_proto::Incarnation;
use campanile_proto::reach::Pattern;

use super::*;

const GATEWAY: Incarnation = Incarnation(0xe);

/// The gateway tells a server that it listens to everything.
fn listen(pump: &Pump, server: usize, link: &Outbox) {
    let table = &pump.servers[server].table;
    let pattern = Pattern { number: 3, pattern: "*".into(), listeners: 1, change: 1 };
    table.set_pattern(link, GATEWAY, &pattern);
    table.patterns_told(link, GATEWAY, pump.now);
}

/// The offsets that came for patterns, each with whether something goes first, and whether it was the last word.
fn matched(link: &Outbox) -> Vec<String> {
    let word = |item| match item {
        FromTopicServer::Match(found) => {
            let behind =
                found.behind.map_or(String::new(), |behind| format!(" behind {:?}", behind.incarnation));
            Some(format!("{}{behind}", found.offset))
        }
        FromTopicServer::PatternsMoved { offset, .. } => Some(format!("moved {offset}")),
        FromTopicServer::PatternsLost => Some("lost".to_owned()),
        _ => None,
    };
    drain(link).into_iter().filter_map(word).collect()
}

/// H8: a topic that moves is waited for; one that begins at its new owner is kept until the gateway comes.
#[test]
fn a_gateway_gets_everything_of_topics_that_move_and_of_topics_that_begin_elsewhere() {
    let (mut pump, topic, second, gateway) = two();
    let begins = topics_of(&[(&second, "ts-b")], 2).remove(1);
    let (old, new) = (outbox(), outbox());
    listen(&pump, 0, &old);
    pump.publish(0, &gateway, publish(&topic, 3));
    pump.adopt(&[0, 1], &second);
    pump.pass(A_WHILE);
    // The gateway has no link to the new member yet.
    pump.publish(1, &gateway, publish(&topic, 4));
    pump.publish(1, &gateway, publish(&begins, 5));
    pump.run();
    listen(&pump, 1, &new);
    pump.publish(1, &gateway, publish(&begins, 6));
    let a = pump.servers[0].handoff.incarnation();
    let b = pump.servers[1].handoff.incarnation();
    assert_eq!(matched(&old), ["3", "moved 3"]);
    assert_eq!(matched(&new), [format!("4 behind {a:?}"), format!("1 behind {b:?}"), "2".to_owned()]);
}

/// A, B, C, while the gateway has a link to A and C only: C's first word waits for A's last one, and nothing is missing.
#[test]
fn a_gateway_that_a_topic_passes_by_gets_everything_from_where_it_stood() {
    let first = ring(1, &["ts-a", "ts-b", "ts-c"]);
    let (second, third, fourth) = (ring(2, &["ts-a"]), ring(3, &["ts-b"]), ring(4, &["ts-c"]));
    let mut pump = Pump::new(&first, &["ts-a", "ts-b", "ts-c"]);
    pump.adopt(&[0, 1, 2], &second);
    pump.pass(A_WHILE);
    let (old, new, publisher) = (outbox(), outbox(), outbox());
    listen(&pump, 0, &old);
    for (number, server, next) in [(1, 0, Some(&third)), (2, 1, Some(&fourth)), (3, 2, None)] {
        pump.publish(server, &publisher, publish("news", number));
        if let Some(next) = next {
            pump.adopt(&[0, 1, 2], next);
            pump.pass(2 * A_WHILE);
        }
    }
    listen(&pump, 2, &new);
    let a = pump.servers[0].handoff.incarnation();
    assert_eq!(matched(&old), ["1", "moved 1"]);
    assert_eq!(matched(&new), [format!("2 behind {a:?}"), "3".to_owned()]);
}
