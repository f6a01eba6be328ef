//! join_ref and ref: opaque, echoed as they came, compared strictly.

use crate::harness::transcript::{play, transcripts};

transcripts! {
    c23_a_null_join_ref_means_the_channel_as_it_is: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > [null,"2",$T,"publish",["event",{"a":1}]]
        A < ["1","2",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{"a":1}]
        A > [null,"3",$T,"phx_leave",{}]
        A < ["1","3",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
    "#;

    c25_numbers_stay_numbers: r#"
        A > [1,1,$T,"phx_join",{}]
        A < [1,1,$T,"phx_reply",$ok]
        A > [1,2,$T,"publish",["event",{}]]
        A < [1,2,$T,"phx_reply",$ok]
        A < [1,null,$T,"event",{}]
        A > [1,3,$T,"phx_leave",{}]
        A < [1,3,$T,"phx_reply",$ok]
        A < [1,1,$T,"phx_close",{}]
    "#;

    a_numbers_literal_text_is_kept: r#"
        A > [0,12345678901234567890123,$T,"phx_join",{}]
        A = [0,12345678901234567890123,"topics:matrix","phx_reply",{"status":"ok","response":{}}]
        A > [0,-1.50e+3,$T,"phx_leave",{}]
        A = [0,-1.50e+3,"topics:matrix","phx_reply",{"status":"ok","response":{}}]
        A = [0,0,"topics:matrix","phx_close",{}]
    "#;

    a_string_is_not_the_number_that_it_spells: r#"
        A > [1,1,$T,"phx_join",{}]
        A < [1,1,$T,"phx_reply",$ok]
        A > ["1","2",$T,"publish",["event",{}]]
        A > ["1","3",$T,"phx_leave",{}]
        A silent
        B > ["1","1",$T,"phx_join",{}]
        B < ["1","1",$T,"phx_reply",$ok]
        B > [1,"2",$T,"publish",["event",{}]]
        B > [1.0,"2",$T,"publish",["event",{}]]
        B silent
    "#;

    an_event_of_an_older_join_is_dropped_without_a_reply: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["2","2",$T,"phx_join",{}]
        A < ["2","2",$T,"phx_reply",$ok]
        A < ["1","1",$T,"phx_close",{}]
        A > ["1","3",$T,"publish",["event",{}]]
        A > ["1","4",$T,"foo",{}]
        A > ["1","5",$T,"phx_leave",{}]
        A silent
        A > ["2","6",$T,"publish",["event",{}]]
        A < ["2","6",$T,"phx_reply",$ok]
        A < ["2",null,$T,"event",{}]
    "#;

    a_join_without_join_ref_goes_by_its_ref: r#"
        A > [null,"7",$T,"phx_join",{}]
        A < [null,"7",$T,"phx_reply",$ok]
        A > [null,"8",$T,"publish",["event",{}]]
        A < ["7","8",$T,"phx_reply",$ok]
        A < ["7",null,$T,"event",{}]
        A > ["7","9",$T,"publish",["event",{}]]
        A > ["7","10",$T,"phx_leave",{}]
        A silent
        A > [null,"11",$T,"phx_leave",{}]
        A < ["7","11",$T,"phx_reply",$ok]
        A < [null,null,$T,"phx_close",{}]
    "#;

    a_join_without_any_ref_works: r#"
        A > [null,null,$T,"phx_join",{}]
        A < [null,null,$T,"phx_reply",$ok]
        A > [null,null,$T,"publish",["event",{}]]
        A < [null,null,$T,"phx_reply",$ok]
        A < [null,null,$T,"event",{}]
    "#;

    a_reply_goes_by_the_channels_join_ref_and_refs_need_not_be_unique: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A > ["1","1",$T,"publish",["event",{"n":1}]]
        A < ["1","1",$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{"n":1}]
        A > ["1",null,$T,"publish",["event",{"n":2}]]
        A < ["1",null,$T,"phx_reply",$ok]
        A < ["1",null,$T,"event",{"n":2}]
    "#;

    join_ref_and_ref_may_differ_in_a_join: r#"
        A > ["j","r",$T,"phx_join",{}]
        A < ["j","r",$T,"phx_reply",$ok]
        A > ["j","s",$T,"phx_leave",{}]
        A < ["j","s",$T,"phx_reply",$ok]
        A < ["j","j",$T,"phx_close",{}]
    "#;

    refs_are_escaped_as_json: r#"
        A > ["q\"\\\n","é\u0001",$T,"phx_join",{}]
        A < ["q\"\\\n","é\u0001",$T,"phx_reply",$ok]
        A > [null,"2",$T,"publish",["event",{}]]
        A < ["q\"\\\n","2",$T,"phx_reply",$ok]
        A < ["q\"\\\n",null,$T,"event",{}]
    "#;

    refs_of_other_types_are_malformed_true: r#"
        A > [true,"1",$T,"phx_join",{}]
        A closed 1011
        B > ["1",{},$T,"phx_join",{}]
        B closed 1011
        C > ["1",[1],$T,"phx_join",{}]
        C closed 1011
        D > [false,"1","phoenix","heartbeat",{}]
        D closed 1011
    "#;
}

#[tokio::test]
async fn refs_have_255_bytes_at_most() {
    let (longest, number) = ("é".repeat(127) + "x", "1".repeat(255));
    play(&format!(
        r#"
        A > ["{longest}","1",$T,"phx_join",{{}}]
        A < ["{longest}","1",$T,"phx_reply",$ok]
        A > [null,"{longest}",$T,"publish",["event",{{}}]]
        A < ["{longest}","{longest}",$T,"phx_reply",$ok]
        A < ["{longest}",null,$T,"event",{{}}]
        A > [null,{number},"phoenix","heartbeat",{{}}]
        A = [null,{number},"phoenix","phx_reply",{{"status":"ok","response":{{}}}}]
        A > [null,"{longest}x","phoenix","heartbeat",{{}}]
        A closed 1011
        B > ["{longest}x","1",$T,"phx_join",{{}}]
        B closed 1011
        C > [{number}1,"1",$T,"phx_join",{{}}]
        C closed 1011
        "#
    ))
    .await;
}
