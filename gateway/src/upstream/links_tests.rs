use std::task::{Context, Poll, Waker};

use campanile_proto::{FromGateway, Subscription};
use campanile_ring_config::Member;

use super::*;

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
