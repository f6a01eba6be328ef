//! What comes before what.

use serde_json::json;

use crate::harness::transcript::transcripts;
use crate::harness::{Cluster, Got};

transcripts! {
    a_publish_in_the_same_packet_as_its_join_is_published: r#"
        A + ["1","1",$T,"phx_join",{}]
        A + ["1","2",$T,"publish",["event",{"n":1}]]
        A > ["1","3",$T,"publish",["event",{"n":2}]]
        A < ["1","1",$T,"phx_reply",$ok]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{"n":1}]
        A < ["1","3",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{"n":2}]
    "#;

    a_publish_behind_a_join_that_is_refused_is_unmatched: r#"
        A + ["1","1","a\u0000","phx_join",{}]
        A > ["1","2","a\u0000","publish",["event",{}]]
        A < [null,"1","a\u0000","phx_reply",$UT]
        A < [null,"2","a\u0000","phx_reply",$UT]
    "#;

    join_publish_leave_and_join_in_one_packet: r#"
        A + ["1","1",$T,"phx_join",{}]
        A + ["1","2",$T,"publish",["event",{"n":1}]]
        A + ["1","3",$T,"phx_leave",{}]
        A > ["4","4",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{"n":1}]
        A < ["1","3",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
        A < ["4","4",$T,"phx_reply",$ok]
        A > ["4","5",$T,"publish",["event",{"n":2}]]
        A < ["4","5",$T,"phx_reply",$ok]
        A < ["4",null,$T,"event",{"n":2}]
    "#;

    join_and_leave_in_one_packet: r#"
        A + ["1","1",$T,"phx_join",{}]
        A > ["1","2",$T,"phx_leave",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
    "#;
}

#[tokio::test]
async fn the_join_reply_comes_before_every_event_of_a_busy_topic() {
    let cluster = Cluster::start(2, 1).await;
    let mut busy = cluster.client(0).await;
    busy.join("topics:busy").await;
    let publish = async {
        loop {
            busy.publish("topics:busy", "event", json!({})).await;
            busy.next().await;
        }
    };
    let join = async {
        for _ in 0..30 {
            let mut client = cluster.client(1).await;
            let join_ref = client.ask_to_join("topics:busy").await;
            let first = client.json().await;
            assert_eq!((&first[1], &first[3]), (&json!(join_ref), &json!("phx_reply")), "{first}");
            let second = client.json().await;
            assert_eq!(second, json!([join_ref, null, "topics:busy", "event", {}]));
        }
    };
    tokio::select! { () = join => {}, () = publish => unreachable!() }
}

#[tokio::test]
async fn every_publisher_gets_its_reply_before_its_own_event() {
    let cluster = Cluster::start(2, 1).await;
    let (mut one, mut two) = (cluster.client(0).await, cluster.client(1).await);
    for client in [&mut one, &mut two] {
        client.join("topics:a").await;
    }
    for (client, who) in [(&mut one, "one"), (&mut two, "two")] {
        for number in 0..200 {
            let frame = json!([null, format!("{who}{number}"), "topics:a", "publish", ["event", {"is": format!("{who}{number}")}]]);
            client.feed(frame.to_string()).await;
        }
        client.flush().await;
    }
    for (client, who) in [(&mut one, "one"), (&mut two, "two")] {
        let (mut replied, mut own, mut all) = (0, 0, 0);
        while all < 400 {
            let Got::Text(frame) = client.next().await else { panic!("no text") };
            if frame[3] == "phx_reply" {
                assert_eq!(frame[1], format!("{who}{replied}"));
                assert_eq!(frame[4]["status"], "ok");
                replied += 1;
            } else {
                all += 1;
                if frame[4]["is"] == format!("{who}{own}") {
                    own += 1;
                    assert!(own <= replied, "event {own} of {who} came before its reply");
                }
            }
        }
        assert_eq!((replied, own), (200, 200));
    }
}
