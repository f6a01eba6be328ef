//! Joining, leaving, and what happens without a channel.

use crate::harness::transcript::transcripts;

transcripts! {
    c1_a_join_is_answered: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
    "#;

    c3_a_name_that_is_none_is_unmatched: r#"
        A > ["1","1","","phx_join",{}]
        A < [null,"1","","phx_reply",$UT]
    "#;

    c4_a_heartbeat_is_answered_without_a_join: r#"
        A > [null,"2","phoenix","heartbeat",{}]
        A < [null,"2","phoenix","phx_reply",$ok]
    "#;

    a_heartbeat_does_not_echo_its_join_ref: r#"
        A > ["9","2","phoenix","heartbeat",{}]
        A < [null,"2","phoenix","phx_reply",$ok]
    "#;

    c6_a_heartbeat_may_be_all_null: r#"
        A > [null,null,"phoenix","heartbeat",null]
        A < [null,null,"phoenix","phx_reply",$ok]
    "#;

    another_event_on_the_topic_phoenix_is_unmatched: r#"
        A > ["1","2","phoenix","foo",{}]
        A < [null,"2","phoenix","phx_reply",$UT]
        A > ["1","3","phoenix","phx_join",{}]
        A < [null,"3","phoenix","phx_reply",$UT]
        A > ["1","4","phoenix","phx_leave",{}]
        A < ["1","4","phoenix","phx_reply",$ok]
    "#;

    c9_a_publish_without_a_channel_is_unmatched: r#"
        A > ["1","5",$T,"publish",["event",{}]]
        A < [null,"5",$T,"phx_reply",$UT]
    "#;

    c10_a_leave_without_a_channel_is_ok_and_closes_nothing: r#"
        A > ["4","5",$T,"phx_leave",{}]
        A < ["4","5",$T,"phx_reply",$ok]
        A silent
    "#;

    c11_a_leave_is_answered_and_then_closes: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"phx_leave",{}]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
    "#;

    c13_a_leave_of_another_join_is_ignored: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["0","2",$T,"phx_leave",{}]
        A silent
        A > ["1","3",$T,"publish",["event",{}]]
        A < ["1","3",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{}]
    "#;

    c14_after_a_leave_the_topic_is_unmatched: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"phx_leave",{}]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
        A > ["1","3",$T,"publish",["event",{}]]
        A < [null,"3",$T,"phx_reply",$UT]
    "#;

    c15_a_second_join_replaces_the_first: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["2","2",$T,"phx_join",{}]
        A < ["2","2",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
        A > ["2","3",$T,"publish",["event",{"n":1}]]
        A < ["2","3",$T,"phx_reply",$ok]
        A < ["2",null,$T,"event",{"n":1}]
    "#;

    many_joins_in_one_packet_close_all_but_the_last: r#"
        A + ["1","1",$T,"phx_join",{}]
        A + ["2","2",$T,"phx_join",{}]
        A > ["3","3",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A < ["2","2",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
        A < ["3","3",$T,"phx_reply",$ok]
        A < ["2","2",$T,"phx_close",{}]
        A > ["3","4",$T,"publish",["event",{}]]
        A < ["3","4",$T,"phx_reply",$ok]
        A < ["3",null,$T,"event",{}]
    "#;

    a_join_of_a_joined_topic_by_another_session_replaces_nothing: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > ["1","1",$T,"phx_join",{}]
        B < ["1","1",$T,"phx_reply",$ok]
        A silent
    "#;

    c18_a_leave_and_a_new_join_back_to_back: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A + ["1","3",$T,"phx_leave",{}]
        A > ["4","4",$T,"phx_join",{}]
        A < ["1","3",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
        A < ["4","4",$T,"phx_reply",$ok]
        A > ["4","5",$T,"publish",["event",{}]]
        A < ["4","5",$T,"phx_reply",$ok]
        A < ["4",null,$T,"event",{}]
    "#;

    c27_elements_beyond_the_fifth_are_ignored: r#"
        A > ["1","1",$T,"phx_join",{},"extra",42]
        A < ["1","1",$T,"phx_reply",$ok]
    "#;

    a_joins_payload_may_be_any_json: r#"
        A > ["1","1",$T,"phx_join",null]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["2","2","topics:b","phx_join",[1,"two"]]
        A < ["2","2","topics:b","phx_reply",$ok]
        A > ["3","3","topics:c","phx_join","text"]
        A < ["3","3","topics:c","phx_reply",$ok]
    "#;

    a_leaves_payload_may_be_any_json: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","2",$T,"phx_leave",null]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
    "#;
}
