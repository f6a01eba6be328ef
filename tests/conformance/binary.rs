//! Binary frames of version 2: a push publishes its bytes under its own event name; the reply is text.

use crate::harness::transcript::{play, transcripts};

transcripts! {
    b1_b3_bytes_are_published_and_come_as_a_server_push: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > ["77","7",$T,"phx_join",{}]
        B < ["77","7",$T,"phx_reply",$ok]
        A >b 00 01 01 0d 03 "1" "2" "topics:matrix" "bin" 01 02 ff
        A < ["1","2",$T,"phx_reply",$ok]
        A <b 00 01 0d 03 "1" "topics:matrix" "bin" 01 02 ff
        B <b 00 02 0d 03 "77" "topics:matrix" "bin" 01 02 ff
    "#;

    b5_other_kinds: r#"
        A >b 09 01 01 0d 03 "1" "2" "topics:matrix" "bin"
        A closed 1011
        B >b 01 01 01 0d 02 "1" "2" "topics:matrix" "ok"
        B closed 1011
        C >b 02 0d 03 "topics:matrix" "bin"
        C closed 1011
        D >b 03 01 01 0d 03 00 01 "1" "2" "topics:matrix" "bin"
        D closed 1011
    "#;

    truncated_headers: r#"
        A >b
        A closed 1011
        B >b 00 01 01 0d
        B closed 1011
        C >b 00 01 01 0d 03 "1" "2" "topics:matrix" "bi"
        C closed 1011
        D >b 00 ff ff ff ff
        D closed 1011
    "#;

    header_fields_that_are_not_utf_8: r#"
        A >b 00 01 01 01 01 ff "2" "t" "e"
        A closed 1011
        B >b 00 01 01 01 01 "1" "2" "t" ff
        B closed 1011
    "#;

    b7_json_in_a_binary_frame: r#"
        A >b 5b "" 22 "1" 22 "," 22 "1" 22 "," 22 "t" 22 "," 22 "phx_join" 22 ",{}]"
        A closed 1011
    "#;

    b9_no_payload: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A >b 00 01 01 0d 03 "1" "2" "topics:matrix" "bin"
        A < ["1","2",$T,"phx_reply",$ok]
        A <b 00 01 0d 03 "1" "topics:matrix" "bin"
    "#;

    a_join_ref_that_does_not_match_is_stale_the_empty_one_too: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A >b 00 01 01 0d 03 "0" "2" "topics:matrix" "bin" 01
        A >b 00 00 01 0d 03 "2" "topics:matrix" "bin" 01
        A silent
    "#;

    an_empty_join_ref_is_stale_on_a_channel_without_join_ref: r#"
        A > [null,"1",$T,"phx_join",{}]
        A < [null,"1",$T,"phx_reply",$ok]
        A >b 00 00 01 0d 03 "2" "topics:matrix" "bin" 01
        A >b 00 01 01 0d 03 "1" "2" "topics:matrix" "bin" 01
        A silent
        B > [null,"3",$T,"phx_join",{}]
        B < [null,"3",$T,"phx_reply",$ok]
        C > ["c","c",$T,"phx_join",{}]
        C < ["c","c",$T,"phx_reply",$ok]
        C >b 00 01 01 0d 03 "c" "d" "topics:matrix" "bin" 01
        C < ["c","d",$T,"phx_reply",$ok]
        C <b 00 01 0d 03 "c" "topics:matrix" "bin" 01
        A <b 00 01 0d 03 "1" "topics:matrix" "bin" 01
        B <b 00 01 0d 03 "3" "topics:matrix" "bin" 01
    "#;

    an_empty_string_as_join_ref_is_met_by_an_empty_one: r#"
        A > ["","1",$T,"phx_join",{}]
        A < ["","1",$T,"phx_reply",$ok]
        A >b 00 00 01 0d 03 "2" "topics:matrix" "bin" 01
        A < ["","2",$T,"phx_reply",$ok]
        A <b 00 00 0d 03 "topics:matrix" "bin" 01
    "#;

    a_number_is_its_text: r#"
        A > [12,1,$T,"phx_join",{}]
        A < [12,1,$T,"phx_reply",$ok]
        A >b 00 02 01 0d 03 "12" "2" "topics:matrix" "bin" 01
        A < [12,"2",$T,"phx_reply",$ok]
        A <b 00 02 0d 03 "12" "topics:matrix" "bin" 01
    "#;

    version_1_gets_base64: r#"
        A opens ?vsn=1.0.0
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
        B > ["1","1",$T,"phx_join",{}]
        B < ["1","1",$T,"phx_reply",$ok]
        B >b 00 01 01 0d 03 "1" "2" "topics:matrix" "bin" fb ff 00 01
        B < ["1","2",$T,"phx_reply",$ok]
        B <b 00 01 0d 03 "1" "topics:matrix" "bin" fb ff 00 01
        A < {"topic":$T,"event":"bin","payload":{"data":"+/8AAQ=="},"ref":null}
        B >b 00 01 01 0d 03 "1" "3" "topics:matrix" "bin"
        B < ["1","3",$T,"phx_reply",$ok]
        B <b 00 01 0d 03 "1" "topics:matrix" "bin"
        A < {"topic":$T,"event":"bin","payload":{"data":""},"ref":null}
    "#;

    reserved_and_empty_events_are_refused: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B > ["1","1",$T,"phx_join",{}]
        B < ["1","1",$T,"phx_reply",$ok]
        A >b 00 01 01 0d 09 "1" "2" "topics:matrix" "phx_close" 01
        A < ["1","2",$T,"phx_reply",$refused(reserved event)]
        A >b 00 01 01 0d 08 "1" "3" "topics:matrix" "position" 01
        A < ["1","3",$T,"phx_reply",$refused(reserved event)]
        A >b 00 01 01 0d 00 "1" "4" "topics:matrix" 01
        A < ["1","4",$T,"phx_reply",$refused(invalid event)]
        B silent
    "#;

    publish_is_an_event_name_like_others_in_a_binary_push: r#"
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A >b 00 01 01 0d 07 "1" "2" "topics:matrix" "publish" 01
        A < ["1","2",$T,"phx_reply",$ok]
        A <b 00 01 0d 07 "1" "topics:matrix" "publish" 01
    "#;

    a_heartbeat_may_be_binary: r#"
        A >b 00 00 01 07 09 "2" "phoenix" "heartbeat"
        A < [null,"2","phoenix","phx_reply",$ok]
    "#;

    without_a_channel_it_is_unmatched: r#"
        A >b 00 01 01 0d 03 "1" "2" "topics:matrix" "bin" 01
        A < [null,"2",$T,"phx_reply",$UT]
    "#;
}

#[tokio::test]
async fn the_longest_header_fields_come_whole() {
    let (join_ref, topic, event) = ("j".repeat(255), "t".repeat(255), "e".repeat(255));
    play(&format!(
        r#"
        A > ["{join_ref}","1","{topic}","phx_join",{{}}]
        A < ["{join_ref}","1","{topic}","phx_reply",$ok]
        A >b 00 ff 01 ff ff "{join_ref}" "2" "{topic}" "{event}" 01
        A < ["{join_ref}","2","{topic}","phx_reply",$ok]
        A <b 00 ff ff ff "{join_ref}" "{topic}" "{event}" 01
        "#
    ))
    .await;
}
