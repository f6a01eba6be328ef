use std::task::{Context, Poll, Waker};

use campanile_proto::wire::decode_gateway_item;
use campanile_proto::{FromGateway, Subscription};
use campanile_ring_config::Member;

use super::*;
use crate::upstream::sight::SEEN_FOR;

const LIFE: Incarnation = Incarnation(7);

fn ring(version: u64, members: &[(&str, &str)]) -> Arc<Ring> {
    let members = members.iter().map(|(name, address)| Member::new(*name, *address, 1));
    Arc::new(Ring::new(version, 64, members.collect()).expect("a ring"))
}

const A: (&str, &str) = ("a", "127.0.0.1:5001");
const B: (&str, &str) = ("b", "127.0.0.1:5002");
const A_ELSEWHERE: (&str, &str) = ("a", "127.0.0.1:6001");

fn ids(upstreams: &[Arc<Upstream>]) -> Vec<(u32, &str, &str)> {
    let id = |upstream: &Arc<Upstream>| upstream.id.0;
    let mut ids: Vec<_> =
        upstreams.iter().map(|upstream| (id(upstream), &*upstream.name, &*upstream.address)).collect();
    ids.sort_unstable();
    ids
}

/// A topic that this ring gives to the member of this name.
fn topic_of(ring: &Ring, name: &str) -> String {
    (0..)
        .map(|number| format!("topics:{number}"))
        .find(|topic| ring.owner(topic.as_bytes()).name() == name)
        .expect("every member owns some topic")
}

#[test]
fn every_topic_goes_to_the_member_that_the_ring_names() {
    let ring = ring(1, &[B, A]);
    let (links, upstreams) = Links::new(Arc::clone(&ring), 1024);
    assert_eq!(ids(&upstreams), [(0, "a", A.1), (1, "b", B.1)]);
    for number in 0..1000 {
        let topic = format!("topics:{number}");
        let owner = links.owner(topic.as_bytes());
        assert_eq!(upstreams[owner.0 as usize].name, ring.owner(topic.as_bytes()).name());
    }
}

#[test]
fn a_new_ring_keeps_the_members_it_shares_with_the_old_one() {
    let (links, upstreams) = Links::new(ring(1, &[A]), 1024);
    let newer = ring(2, &[A, B]);
    let new = links.adopt(Arc::clone(&newer));
    assert_eq!(ids(&new), [(1, "b", B.1)]);
    assert_eq!(links.ring().version(), 2);
    assert_eq!(links.owner(topic_of(&newer, "a").as_bytes()), upstreams[0].id);
    assert_eq!(links.owner(topic_of(&newer, "b").as_bytes()), new[0].id);
    assert!(links.adopt(ring(3, &[B])).is_empty());
    assert!(links.adopt(ring(4, &[A, B])).is_empty(), "a former member comes back as itself");
}

/// H7: a member is name and address.
#[test]
fn the_same_name_at_another_address_is_another_member() {
    let (links, upstreams) = Links::new(ring(1, &[A]), 1024);
    let new = links.adopt(ring(2, &[A_ELSEWHERE]));
    assert_eq!(ids(&new), [(1, "a", A_ELSEWHERE.1)]);
    assert_eq!(links.owner(b"topic"), new[0].id);
    assert_ne!(new[0].id, upstreams[0].id);
}

/// H8: a former member's link stays for as long as topics are bound to it.
#[test]
fn former_members_are_let_go_when_nobody_uses_them() {
    let (links, upstreams) = Links::new(ring(1, &[A, B]), 1024);
    links.let_go(|_| false);
    assert!(upstreams.iter().all(|upstream| !upstream.stop.is_cancelled()), "they are in the ring");
    links.adopt(ring(2, &[B]));
    links.let_go(|member| member == upstreams[0].id);
    assert!(!upstreams[0].stop.is_cancelled(), "in use");
    upstreams[0].set_up(3, LIFE);
    assert_eq!(links.view(upstreams[0].id).up, Some(3), "and still reachable");
    links.let_go(|_| false);
    assert!(upstreams[0].stop.is_cancelled());
    assert!(!upstreams[1].stop.is_cancelled());
    let again = links.adopt(ring(3, &[A, B]));
    assert_eq!(ids(&again), [(2, "a", A.1)], "one that was let go starts anew");
    links.let_go(|_| false);
    assert!(!again[0].stop.is_cancelled());
}

#[test]
fn a_link_is_up_between_set_up_and_its_own_set_down() {
    let (links, upstreams) = Links::new(ring(1, &[A]), 1024);
    let (member, upstream) = (upstreams[0].id, &upstreams[0]);
    assert_eq!(links.view(member).up, None);
    upstream.outbox.open(4, FromGateway::Ping(0));
    upstream.set_up(4, LIFE);
    let view = LinkView { member, up: Some(4), owner: LIFE };
    assert_eq!(links.view(member), view);
    upstream.set_down(3);
    assert_eq!(links.view(member), view, "an older link's end means nothing");
    upstream.set_down(4);
    assert_eq!(links.view(member).up, None);
}

#[test]
fn requests_go_to_their_member_and_only_on_its_link() {
    let (links, upstreams) = Links::new(ring(1, &[A, B]), 1024);
    for upstream in &upstreams {
        upstream.outbox.open(4, FromGateway::Ping(0));
        upstream.set_up(4, LIFE);
    }
    let number = Subscription { slot: 1, generation: 1 };
    links.send(MemberId(1), 4, Request::Unsubscribe(number));
    links.send(MemberId(1), 3, Request::Unsubscribe(number));
    links.send(MemberId(99), 4, Request::Unsubscribe(number));
    let sizes = [0, 1].map(|index: usize| {
        let context = &mut Context::from_waker(Waker::noop());
        match upstreams[index].outbox.poll_batch(context, 4, 1) {
            Poll::Ready(Some(batch)) => batch.items.len(),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(sizes, [1, 2], "with the Hello");
}

/// A link of this number, opened and up.
fn link_up(links: &Links, upstream: &Upstream, number: u64, now: Instant) {
    upstream.outbox.open(number, FromGateway::Ping(0));
    links.set_up(upstream, number, LIFE, now);
}

/// What is to leave on a link, in words: names seen, or `request`.
fn said(upstream: &Upstream, number: u64) -> Vec<String> {
    let context = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(Some(batch)) = upstream.outbox.poll_batch(context, number, 1) else {
        return Vec::new();
    };
    let items = batch.items.into_iter().map(|item| decode_gateway_item(item).expect("what we encode"));
    let word = |item| match item {
        FromGateway::Ping(_) => None,
        FromGateway::Sees(places) => {
            let names = places.into_iter().map(|place| format!("{}@{}", place.name, place.address));
            Some(names.collect::<Vec<_>>().join(" "))
        }
        _ => Some("request".to_owned()),
    };
    items.filter_map(word).collect()
}

/// H4: each topic server knows whom this gateway can reach.
#[test]
fn what_a_gateway_sees_is_the_first_thing_on_a_link_and_told_to_all_when_it_changes() {
    let (links, upstreams) = Links::new(ring(1, &[A, B]), 1024);
    let (a, b, now) = (&upstreams[0], &upstreams[1], Instant::now());
    // One that was not tried for five seconds yet may be there.
    let later = now + 2 * SEEN_FOR;
    link_up(&links, a, 1, later);
    links.send(a.id, 1, Request::Unsubscribe(Subscription { slot: 1, generation: 1 }));
    assert_eq!(said(a, 1), ["a@127.0.0.1:5001", "request"]);
    link_up(&links, b, 2, later);
    assert_eq!(said(a, 1), ["a@127.0.0.1:5001 b@127.0.0.1:5002"]);
    assert_eq!(said(b, 2), ["a@127.0.0.1:5001 b@127.0.0.1:5002"]);
    // A link that breaks and comes back within five seconds changes nothing for the others.
    b.set_down(2);
    links.look_around(Instant::now());
    link_up(&links, b, 3, Instant::now());
    assert_eq!(said(a, 1), Vec::<String>::new());
    assert_eq!(said(b, 3), ["a@127.0.0.1:5001 b@127.0.0.1:5002"]);
    b.set_down(3);
    let broke = Instant::now();
    links.look_around(broke);
    assert_eq!(said(a, 1), Vec::<String>::new());
    links.look_around(broke + SEEN_FOR);
    links.look_around(broke + 2 * SEEN_FOR);
    assert_eq!(said(a, 1), ["a@127.0.0.1:5001"], "once");
}

#[test]
fn former_members_are_seen_too_and_those_let_go_for_five_seconds() {
    let (links, upstreams) = Links::new(ring(1, &[A, B]), 1024);
    let now = Instant::now();
    upstreams.iter().zip(1..).for_each(|(upstream, number)| link_up(&links, upstream, number, now));
    links.adopt(ring(2, &[B]));
    assert_eq!(links.sees(now).len(), 2);
    links.let_go(|_| false);
    upstreams[0].shut();
    let ended = Instant::now();
    assert_eq!(links.sees(ended).len(), 2);
    assert_eq!(links.sees(ended + SEEN_FOR).len(), 1);
    // It comes back as another one of the same name and address.
    let again = links.adopt(ring(3, &[A, B]));
    link_up(&links, &again[0], 7, ended);
    assert_eq!(links.sees(ended).len(), 2);
}

/// Or the table would grow with every edit of the ring.
#[test]
fn a_new_member_takes_the_place_of_one_that_is_forgotten() {
    let (links, upstreams) = Links::new(ring(1, &[A, B]), 1024);
    links.adopt(ring(2, &[B]));
    links.let_go(|_| false);
    upstreams[0].shut();
    let again = links.adopt(ring(3, &[A, B]));
    assert_eq!(ids(&again), [(2, "a", A.1)], "others still see the first one");
    links.adopt(ring(4, &[B]));
    *upstreams[0].sight.lock() = Sight::new(Instant::now().checked_sub(SEEN_FOR).expect("some time ago"));
    assert_eq!(ids(&links.adopt(ring(5, &[B, A_ELSEWHERE]))), [(0, "a", A_ELSEWHERE.1)]);
    assert_eq!(links.view(upstreams[0].id).up, None);
    assert_eq!(links.members.load().len(), 3);
    assert!(links.adopt(ring(6, &[A, B])).is_empty(), "not let go: it comes back as itself");
}

/// R2: somebody who starts only now has not seen them.
#[test]
fn rings_that_were_replaced_are_told_of() {
    let (links, _upstreams) = Links::new(ring(1, &[A]), 1024);
    assert!(links.previous_rings(Instant::now()).is_empty());
    links.adopt(ring(2, &[A, B]));
    links.adopt(ring(5, &[B]));
    let texts = [ring(1, &[A]).to_toml(), ring(2, &[A, B]).to_toml()];
    assert_eq!(links.previous_rings(Instant::now()), texts);
    assert!(links.previous_rings(Instant::now() + Duration::from_secs(61)).is_empty());
}

/// Links whose members have been waiting for a link for so long.
fn waiting(members: &[(&str, &str)], waited: Duration) -> Links {
    let (mut links, upstreams) = Links::new(ring(1, members), 1024);
    links.members.store(Arc::new(Vec::new()));
    let aged = upstreams.into_iter().map(|upstream| {
        let mut upstream = Arc::into_inner(upstream).expect("the only one");
        upstream.since = upstream.since.checked_sub(waited).expect("the machine is older");
        Arc::new(upstream)
    });
    links.members = ArcSwap::from_pointee(aged.collect());
    links
}

fn states(links: &Links) -> Vec<(String, bool, bool)> {
    let states = links.states().into_iter();
    states.map(|state| (state.name, state.up, state.tried)).collect()
}

#[test]
fn a_member_has_been_tried_when_it_is_up_or_after_five_seconds() {
    let links = waiting(&[A, B], Duration::ZERO);
    let state = |name: &str, up, tried| (name.to_owned(), up, tried);
    assert_eq!(states(&links), [state("a", false, false), state("b", false, false)]);
    links.members.load()[0].set_up(1, LIFE);
    assert_eq!(states(&links), [state("a", true, true), state("b", false, false)]);
    let links = waiting(&[A, B], TRIED_AFTER);
    assert_eq!(states(&links), [state("a", false, true), state("b", false, true)]);
}

/// Its own documentation says so: a link that breaks soon after the start does not make the gateway unready again.
#[test]
fn a_member_that_was_up_once_stays_tried() {
    let links = waiting(&[A], Duration::ZERO);
    links.members.load()[0].set_up(1, LIFE);
    links.members.load()[0].set_down(1);
    assert_eq!(states(&links), [("a".to_owned(), false, true)]);
}

#[test]
fn only_members_of_the_newest_ring_count_for_readiness() {
    let (links, _upstreams) = Links::new(ring(1, &[A, B]), 1024);
    links.adopt(ring(2, &[B, A_ELSEWHERE]));
    let names: Vec<_> = links.states().into_iter().map(|state| state.name).collect();
    assert_eq!(names, ["a", "b"]);
    links.adopt(ring(3, &[B]));
    assert_eq!(links.states().len(), 1);
}
