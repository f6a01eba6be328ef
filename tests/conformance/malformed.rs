//! Frames that no client should send end their connection with 1011, and nobody else's.

use crate::harness::transcript::transcripts;

transcripts! {
    c29_no_json: "
        A > not json
        A closed 1011
    ";

    c30_four_elements: r#"
        A > ["1","1",$T,"phx_join"]
        A closed 1011
    "#;

    c31_an_object_on_version_2: r#"
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1"}
        A closed 1011
    "#;

    c32_an_empty_text_frame: "
        A >t
        A closed 1011
    ";

    c33_invalid_utf_8: r#"
        A >t 5b ff fe 5d
        A closed 1007
        B >t "[null,null," 22 c3 22 ",null,null]"
        B closed 1007
    "#;

    an_empty_array_and_other_json: "
        A > []
        A closed 1011
        B > null
        B closed 1011
        C > 1
        C closed 1011
    ";

    text_behind_the_array: r#"
        A > ["1","1",$T,"phx_join",{}] x
        A closed 1011
        B > ["1","1",$T,"phx_join",{}]["1","1",$T,"phx_join",{}]
        B closed 1011
    "#;

    broken_json_deep_inside_the_payload: r#"
        A > ["1","1",$T,"phx_join",{"a":[1,{"b":tru}]}]
        A closed 1011
        B > ["1","1",$T,"phx_join",{"a":"\x"}]
        B closed 1011
    "#;

    a_malformed_frame_ends_one_session_only: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > ["1","1",$T,"phx_join",{}]
        B < ["1","1",$T,"phx_reply",$ok]
        B > nonsense
        B closed 1011
        A > ["1","2",$T,"publish",["event",{}]]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{}]
    "#;

    what_came_before_a_malformed_frame_is_answered: r#"
        A + [null,"1","phoenix","heartbeat",{}]
        A > nonsense
        A < [null,"1","phoenix","phx_reply",$ok]
        A closed 1011
    "#;

    topics_and_events_that_are_no_strings_match_nothing_and_are_echoed: r#"
        A > ["1","1",7,"phx_join",{}]
        A < [null,"1",7,"phx_reply",$UT]
        A > ["1","2",$T,7,{}]
        A < [null,"2",$T,"phx_reply",$UT]
        A > ["1","3",null,null,null]
        A < [null,"3",null,"phx_reply",$UT]
        A > ["1","4",{"a":[1]},"phx_leave",{}]
        A < ["1","4",{"a":[1]},"phx_reply",$ok]
        A > ["1","5",$T,"phx_join",{}]
        A < ["1","5",$T,"phx_reply",$ok]
        A > ["1","6",$T,7,{}]
        A < ["1","6",$T,"phx_reply",$refused(unknown event)]
    "#;
}
