//! Version 1: objects, join_ref read but never sent.

use crate::harness::transcript::transcripts;

transcripts! {
    v1_a_join_is_answered_without_a_join_ref: r#"
        A opens ?vsn=1.0.0
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
    "#;

    v2_a_join_ref_is_read_and_not_sent: r#"
        A opens ?vsn=1.0.0
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1","join_ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
        A > {"topic":$T,"event":"publish","payload":["event",{}],"ref":"2","join_ref":"0"}
        A silent
        A > {"topic":$T,"event":"publish","payload":["event",{}],"ref":"3","join_ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"3"}
        A < {"topic":$T,"event":"event","payload":{},"ref":null}
    "#;

    v5_a_key_that_is_missing: r#"
        A opens ?vsn=1.0.0
        A > {"topic":$T,"event":"phx_join","payload":{}}
        A closed 1011
        B opens ?vsn=1.0.0
        B > {"event":"phx_join","payload":{},"ref":"1"}
        B closed 1011
        C opens ?vsn=1.0.0
        C > {"topic":$T,"payload":{},"ref":"1"}
        C closed 1011
        D opens ?vsn=1.0.0
        D > {"topic":$T,"event":"phx_join","ref":"1"}
        D closed 1011
    "#;

    v6_an_array: r#"
        A opens ?vsn=1.0.0
        A > ["1","1",$T,"phx_join",{}]
        A closed 1011
    "#;

    v8_a_close_carries_the_join_ref_as_ref: r#"
        A opens ?vsn=1.0.0
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1","join_ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
        A > {"topic":$T,"event":"phx_leave","payload":{},"ref":"2"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"2"}
        A < {"topic":$T,"event":"phx_close","payload":{},"ref":"1"}
    "#;

    a_close_without_a_join_ref_carries_null: r#"
        A opens ?vsn=1.0.0
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
        A > {"topic":$T,"event":"phx_leave","payload":{},"ref":"2"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"2"}
        A < {"topic":$T,"event":"phx_close","payload":{},"ref":null}
    "#;

    v10_json_in_a_binary_frame_is_text: r#"
        A opens ?vsn=1.0.0
        A >b 7b "" 22 "topic" 22 ":" 22 "phoenix" 22 "," 22 "event" 22 ":" 22 "heartbeat" 22 "," 22 "payload" 22 ":{}," 22 "ref" 22 ":7}"
        A < {"topic":"phoenix","event":"phx_reply","payload":$ok,"ref":7}
        A >b 00 01 01 01 01 "1" "2" "t" "e"
        A closed 1011
    "#;

    a_heartbeat: r#"
        A opens
        A > {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"5"}
        A < {"topic":"phoenix","event":"phx_reply","payload":$ok,"ref":"5"}
        A > {"topic":"phoenix","event":"heartbeat","payload":null,"ref":null}
        A < {"topic":"phoenix","event":"phx_reply","payload":$ok,"ref":null}
    "#;

    unmatched: r#"
        A opens
        A > {"topic":$T,"event":"publish","payload":["event",{}],"ref":"5"}
        A < {"topic":$T,"event":"phx_reply","payload":$UT,"ref":"5"}
    "#;

    both_versions_see_the_same_event: r#"
        A opens ?vsn=1.0.7
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
        B > ["7","7",$T,"phx_join",{}]
        B < ["7","7",$T,"phx_reply",$ok]
        A > {"topic":$T,"event":"publish","payload":["event",{"é":"\u20ac"}],"ref":"2"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"2"}
        A < {"topic":$T,"event":"event","payload":{"é":"€"},"ref":null}
        B < ["7",null,$T,"event",{"é":"€"}]
        B > ["7","8",$T,"publish",["event",{"b":2}]]
        B < ["7","8",$T,"phx_reply",$ok]
        B < ["7",null,$T,"event",{"b":2}]
        A < {"topic":$T,"event":"event","payload":{"b":2},"ref":null}
    "#;

    keys_in_any_order_and_unknown_keys: r#"
        A opens ?vsn=1.0.0
        A > {"ref":1,"x":[{}],"payload":{"ref":2},"event":"phx_join","topic":$T}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":1}
    "#;

    a_second_join: r#"
        A opens ?vsn=1.0.0
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1","join_ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"2","join_ref":"2"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"2"}
        A < {"topic":$T,"event":"phx_close","payload":{},"ref":"1"}
    "#;
}
