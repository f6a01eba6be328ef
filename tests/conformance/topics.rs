//! Which names are topics.

use crate::harness::Cluster;
use crate::harness::transcript::{play, play_on, transcripts};

transcripts! {
    any_other_utf_8_is_a_topic: r#"
        A > ["1","1","x","phx_join",{}]
        A < ["1","1","x","phx_reply",$ok]
        A > ["2","2","room:42:é日本","phx_join",{}]
        A < ["2","2","room:42:é日本","phx_reply",$ok]
        A > ["3","3"," ","phx_join",{}]
        A < ["3","3"," ","phx_reply",$ok]
        A > ["4","4","phoenix:x","phx_join",{}]
        A < ["4","4","phoenix:x","phx_reply",$ok]
    "#;

    control_characters_are_unmatched: r#"
        A > ["1","1","a\u0000b","phx_join",{}]
        A < [null,"1","a\u0000b","phx_reply",$UT]
        A > ["1","2","a\n","phx_join",{}]
        A < [null,"2","a\n","phx_reply",$UT]
        A > ["1","3","\u007f","phx_join",{}]
        A < [null,"3","\u007f","phx_reply",$UT]
        A > ["1","4","a\u0085","phx_join",{}]
        A < [null,"4","a\u0085","phx_reply",$UT]
    "#;

    an_escaped_name_is_the_same_topic: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2","topics\u003amatrix","publish",["event",{}]]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{}]
    "#;
}

#[tokio::test]
async fn a_topic_has_255_bytes_at_most() {
    let longest = "é".repeat(127) + "x";
    play(&format!(
        r#"
        A > ["1","1","{longest}","phx_join",{{}}]
        A < ["1","1","{longest}","phx_reply",$ok]
        A > ["1","2","{longest}","publish",["event",{{}}]]
        A < ["1","2","{longest}","phx_reply",$ok]
        A < ["1",null,"{longest}","event",{{}}]
        A > ["3","3","{longest}x","phx_join",{{}}]
        A < [null,"3","{longest}x","phx_reply",$UT]
        "#
    ))
    .await;
}

#[tokio::test]
async fn with_patterns_other_topics_are_unmatched_and_a_reload_counts_at_once() {
    let cluster = Cluster::start(1, 1).await;
    cluster.set_rules("[[topics]]\npattern = \"room:*\"\n[[topics]]\npattern = \"lobby\"\n");
    play_on(
        &cluster,
        r#"
        A > ["1","1","room:1","phx_join",{}]
        A < ["1","1","room:1","phx_reply",$ok]
        A > ["2","2","room:","phx_join",{}]
        A < ["2","2","room:","phx_reply",$ok]
        A > ["3","3","lobby","phx_join",{}]
        A < ["3","3","lobby","phx_reply",$ok]
        A > ["4","4","lobby2","phx_join",{}]
        A < [null,"4","lobby2","phx_reply",$UT]
        A > ["5","5",$T,"phx_join",{}]
        A < [null,"5",$T,"phx_reply",$UT]
        "#,
    )
    .await;
    let mut joined = cluster.client(0).await;
    let join_ref = joined.join("lobby").await;
    cluster.set_rules("[[topics]]\npattern = \"topics:*\"\n");
    play_on(
        &cluster,
        r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["2","2","lobby","phx_join",{}]
        A < [null,"2","lobby","phx_reply",$UT]
        "#,
    )
    .await;
    // Who has joined stays.
    joined.publish("lobby", "event", serde_json::json!({})).await;
    joined.expect_event(&join_ref, "lobby", "event", serde_json::json!({})).await;
    cluster.set_rules("");
    joined.join("anything").await;
}
