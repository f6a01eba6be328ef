//! `vsn`: which serializer a client gets, and which version is none.

use crate::harness::Cluster;
use crate::harness::http::exchange;
use crate::harness::transcript::transcripts;

transcripts! {
    h2_without_vsn_it_is_version_1: r#"
        A opens
        A > {"topic":$T,"event":"phx_join","payload":{},"ref":"1"}
        A < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
        B opens ?vsn=1.0.7
        B > {"topic":$T,"event":"phx_join","payload":{},"ref":"1"}
        B < {"topic":$T,"event":"phx_reply","payload":$ok,"ref":"1"}
    "#;

    the_parameters_of_phoenix_js_are_read: r#"
        A opens ?user=a%20b&a[b]=c&vsn=2.0.0
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        B opens ?u=1&vsn=2.0.9&
        B > ["1","1",$T,"phx_join",{}]
        B < ["1","1",$T,"phx_reply",$ok]
    "#;
}

#[tokio::test]
async fn h3_h4_what_is_no_version_of_ours_gets_403_without_a_body() {
    let cluster = Cluster::start(1, 1).await;
    let address = cluster.gateways[0].address;
    for (query, status) in [
        ("", 101),
        ("?vsn=1.0.0", 101),
        ("?vsn=1.0.7", 101),
        ("?vsn=2.0.0", 101),
        ("?vsn=2.0.9", 101),
        ("?vsn=2", 403),
        ("?vsn=2.0", 403),
        ("?vsn=abc", 403),
        ("?vsn=", 403),
        ("?vsn=1.1.0", 403),
        ("?vsn=2.1.0", 403),
        ("?vsn=3.0.0", 403),
        ("?vsn=0.9.0", 403),
        ("?vsn=123.1.1", 403),
        ("?vsn=2.0.0-rc.1", 403),
        ("?vsn=02.0.0", 403),
        ("?vsn=2.0.0.0", 403),
        ("?vsn=%202.0.0", 403),
        ("?vsn[]=2.0.0", 403),
        ("?vsn%5B%5D=2.0.0", 403),
    ] {
        let answer = exchange(
            address,
            &format!(
                "GET /socket/websocket{query} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Version: 13\r\n\r\n"
            ),
        )
        .await;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{query}");
    }
}
