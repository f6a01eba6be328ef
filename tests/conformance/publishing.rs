//! `publish`: what is acknowledged, what is refused, and who is touched by it.

use crate::harness::transcript::{play, transcripts};

transcripts! {
    d1_everybody_gets_it_once_the_publisher_after_its_reply: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > ["7","7",$T,"phx_join",{}]
        B < ["7","7",$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",["event",{"message":"hi"}]]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{"message":"hi"}]
        B < ["7",null,$T,"event",{"message":"hi"}]
    "#;

    c39_who_has_left_gets_nothing: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > ["7","7",$T,"phx_join",{}]
        B < ["7","7",$T,"phx_reply",$ok]
        B > ["7","8",$T,"phx_leave",{}]
        B < ["7","8",$T,"phx_reply",$ok]
        B < ["7","7",$T,"phx_close",{}]
        A > ["1","2",$T,"publish",["event",{}]]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{}]
        B silent
        B > ["7","9",$T,"publish",["event",{}]]
        B < [null,"9",$T,"phx_reply",$UT]
        A silent
    "#;

    d5_another_shape_is_refused_and_the_channel_goes_on: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > ["1","1",$T,"phx_join",{}]
        B < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",{}]
        A < ["1","2",$T,"phx_reply",$refused(invalid publish)]
        A > ["1","3",$T,"publish",["event"]]
        A < ["1","3",$T,"phx_reply",$refused(invalid publish)]
        A > ["1","4",$T,"publish",null]
        A < ["1","4",$T,"phx_reply",$refused(invalid publish)]
        A > ["1","5",$T,"publish",[]]
        A < ["1","5",$T,"phx_reply",$refused(invalid publish)]
        A > ["1","6",$T,"publish",["event",{},{},{}]]
        A < ["1","6",$T,"phx_reply",$refused(invalid publish)]
        A > ["1","7",$T,"publish",["event",{}]]
        A < ["1","7",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{}]
        B < ["1",null,$T,"event",{}]
    "#;

    a_payload_that_is_no_object_is_refused: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",["event",null]]
        A < ["1","2",$T,"phx_reply",$refused(invalid payload)]
        A > ["1","3",$T,"publish",["event",[]]]
        A < ["1","3",$T,"phx_reply",$refused(invalid payload)]
        A > ["1","4",$T,"publish",["event","{}"]]
        A < ["1","4",$T,"phx_reply",$refused(invalid payload)]
        A > ["1","5",$T,"publish",["event",5]]
        A < ["1","5",$T,"phx_reply",$refused(invalid payload)]
    "#;

    an_event_that_is_no_name_is_refused: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",["",{}]]
        A < ["1","2",$T,"phx_reply",$refused(invalid event)]
        A > ["1","3",$T,"publish",[null,{}]]
        A < ["1","3",$T,"phx_reply",$refused(invalid event)]
        A > ["1","4",$T,"publish",[7,{}]]
        A < ["1","4",$T,"phx_reply",$refused(invalid event)]
    "#;

    d7_events_of_the_protocol_are_refused_and_reach_nobody: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > ["7","7",$T,"phx_join",{}]
        B < ["7","7",$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",["phx_close",{}]]
        A < ["1","2",$T,"phx_reply",$refused(reserved event)]
        A > ["1","3",$T,"publish",["phx_error",{}]]
        A < ["1","3",$T,"phx_reply",$refused(reserved event)]
        A > ["1","4",$T,"publish",["phx_reply",{}]]
        A < ["1","4",$T,"phx_reply",$refused(reserved event)]
        A > ["1","5",$T,"publish",["phx_",{}]]
        A < ["1","5",$T,"phx_reply",$refused(reserved event)]
        A > ["1","6",$T,"publish",["presence_state",{}]]
        A < ["1","6",$T,"phx_reply",$refused(reserved event)]
        A > ["1","7",$T,"publish",["presence_diff",{}]]
        A < ["1","7",$T,"phx_reply",$refused(reserved event)]
        A > ["1","8",$T,"publish",["position",{}]]
        A < ["1","8",$T,"phx_reply",$refused(reserved event)]
        A > ["1","9",$T,"publish",["phx\u005fclose",{}]]
        A < ["1","9",$T,"phx_reply",$refused(reserved event)]
        B silent
        A > ["1","10",$T,"publish",["positions",{}]]
        A < ["1","10",$T,"phx_reply",$ok]
        A < ["1",null,$T,"positions",{}]
        B < ["7",null,$T,"positions",{}]
    "#;

    d8_unknown_events_are_refused: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"foo",{}]
        A < ["1","2",$T,"phx_reply",$refused(unknown event)]
        A > ["1","3",$T,"",{}]
        A < ["1","3",$T,"phx_reply",$refused(unknown event)]
        A > ["1","4",$T,"heartbeat",{}]
        A < ["1","4",$T,"phx_reply",$refused(unknown event)]
    "#;

    c41_control_events_of_a_client_are_unknown_events: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"phx_reply",{}]
        A < ["1","2",$T,"phx_reply",$refused(unknown event)]
        A > ["1","1",$T,"phx_close",{}]
        A < ["1","1",$T,"phx_reply",$refused(unknown event)]
        A > ["1","3",$T,"phx_error",{}]
        A < ["1","3",$T,"phx_reply",$refused(unknown event)]
        A > ["1","4",$T,"publish",["event",{}]]
        A < ["1","4",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{}]
    "#;

    payloads_are_opaque: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",["event", { "b" : 1.50, "a":12345678901234567890123, "a":"\u00e9\/" } ]]
        A < ["1","2",$T,"phx_reply",$ok]
        A = ["1",null,"topics:matrix","event",{ "b" : 1.50, "a":12345678901234567890123, "a":"\u00e9\/" }]
    "#;

    an_events_name_is_escaped_as_json: r#"
        A > ["1","1","t\"\\é","phx_join",{}]
        A < ["1","1","t\"\\é","phx_reply",$ok]
        A > ["1","2","t\"\\é","publish",["e\"\\\n",{}]]
        A < ["1","2","t\"\\é","phx_reply",$ok]
        A < ["1",null,"t\"\\é","e\"\\\n",{}]
    "#;

    every_subscriber_gets_its_own_join_ref: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > [5,5,$T,"phx_join",{}]
        B < [5,5,$T,"phx_reply",$ok]
        C > [null,"r",$T,"phx_join",{}]
        C < [null,"r",$T,"phx_reply",$ok]
        D > ["","d",$T,"phx_join",{}]
        D < ["","d",$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",["event",{}]]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{}]
        B < [5,null,$T,"event",{}]
        C < ["r",null,$T,"event",{}]
        D < ["",null,$T,"event",{}]
    "#;
}

#[tokio::test]
async fn an_event_has_255_bytes_at_most() {
    let longest = "é".repeat(127) + "x";
    play(&format!(
        r#"
        A > ["1","1",$T,"phx_join",{{}}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",["{longest}",{{}}]]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"{longest}",{{}}]
        A > ["1","3",$T,"publish",["{longest}x",{{}}]]
        A < ["1","3",$T,"phx_reply",$refused(invalid event)]
        "#
    ))
    .await;
}
