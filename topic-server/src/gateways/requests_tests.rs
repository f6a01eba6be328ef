use campanile_proto::message::Place;

use super::*;
use crate::metrics::Metrics;
use crate::topics::Ownership;
use crate::topics::table::Limits;
use crate::topics::testing::{A, B, number, outbox, place, publish, ring, words};

fn table() -> (Arc<Table>, Arc<Metrics>) {
    let ownership = Arc::new(Ownership::new("ts-a".to_owned(), ring(1, &["ts-a"])));
    let metrics = Arc::<Metrics>::default();
    let limits = Limits { topics: 10_000, history: 1 << 20 };
    (Arc::new(Table::new(ownership, Arc::clone(&metrics), Arc::default(), limits)), metrics)
}

fn subscribe(slot: u32, generation: u32) -> FromGateway {
    let topic = bytes::Bytes::from(format!("topics:{slot}"));
    FromGateway::Subscribe { subscription: number(slot, generation), topic, listeners: 0 }
}

fn run(requests: &mut Requests, items: impl IntoIterator<Item = FromGateway>, now: Instant) {
    for item in items {
        requests.run(item, Duration::ZERO, now).expect("nothing breaks the protocol");
    }
}

/// L2: all that a link set up ends with it, what waits included, and nothing of another link.
#[test]
fn a_link_that_ends_undoes_what_it_set_up() {
    let ((table, metrics), now) = (table(), Instant::now());
    let [old, new] = [(); 2].map(|()| outbox());
    let mut requests = Requests::new(A, old.clone(), Arc::clone(&table));
    let mut newer = Requests::new(A, new.clone(), Arc::clone(&table));
    run(&mut requests, [subscribe(1, 1), subscribe(2, 1), subscribe(1, 2)], now);
    run(&mut newer, [subscribe(1, 3)], now);
    assert_eq!(metrics.subscriptions.get(), 3);
    requests.undo(now);
    requests.undo(now);
    assert_eq!(metrics.subscriptions.get(), 1);
    run(&mut newer, [FromGateway::Publish(publish("topics:1", 1))], now);
    assert_eq!(words(&old), ["subscribed 0"; 3]);
    assert_eq!(words(&new), ["subscribed 0", "published 1", "deliver 1"]);
}

/// L3: numbers that are over are nobody's.
#[test]
fn late_numbers_do_nothing() {
    let ((table, metrics), now, link) = (table(), Instant::now(), outbox());
    let mut requests = Requests::new(B, link.clone(), table);
    let read = |generation| FromGateway::Read {
        subscription: number(1, generation),
        epoch: campanile_proto::Epoch(1),
        from: 0,
    };
    let unsubscribe = |generation| FromGateway::Unsubscribe { subscription: number(1, generation) };
    run(&mut requests, [subscribe(1, 1), subscribe(1, 2), unsubscribe(1), read(1), read(2)], now);
    assert_eq!(metrics.subscriptions.get(), 1);
    run(&mut requests, [unsubscribe(2), unsubscribe(2), read(2)], now);
    assert_eq!(metrics.subscriptions.get(), 0);
    assert_eq!(words(&link), ["subscribed 0", "subscribed 0", "gone at 0"]);
}

/// H4: whom a gateway sees is what it said last; before, it may see anybody.
#[test]
fn the_link_remembers_whom_its_gateway_sees() {
    let ((table, _), now, link) = (table(), Instant::now(), outbox());
    let mut requests = Requests::new(A, link.clone(), table);
    let seen = |places: Vec<Place>| FromGateway::Sees(places);
    assert!(link.sees(&place("ts-b")));
    run(&mut requests, [seen(vec![place("ts-b")]), seen(vec![place("ts-c")])], now);
    assert!(!link.sees(&place("ts-b")) && link.sees(&place("ts-c")));
}

/// Subscriptions of topics that moved away end by themselves, and do not pile up here.
#[test]
fn what_ended_by_itself_does_not_pile_up() {
    let ((table, _), now, link) = (table(), Instant::now(), outbox());
    let mut requests = Requests::new(A, link.clone(), Arc::clone(&table));
    run(&mut requests, (0..1000).map(|slot| subscribe(slot, 1)), now);
    let foreign = table.adopt(ring(2, &["ts-b"]), now).expect("a newer ring");
    for (entry, giving) in foreign.iter().zip(1..) {
        assert!(table.give(entry, &place("ts-b"), B, giving, now).is_some());
        table.given_away(entry, giving, now);
    }
    table.adopt(ring(3, &["ts-a"]), now);
    run(&mut requests, (1000..1100).map(|slot| subscribe(slot, 1)), now);
    assert_eq!(requests.subscriptions.len(), 100);
    requests.undo(now);
    assert_eq!(table.waiting(), 100, "they waited; the next look finds nobody");
    table.look_after_waited(false, now);
    assert_eq!((table.waiting(), table.len()), (0, 0));
}
