//! Commands, pipelines, both versions, any bytes.

use crate::harness::Cluster;
use crate::harness::redis::command;

#[tokio::test]
async fn a_message_goes_from_any_gateway_to_any_other_and_is_counted() {
    let cluster = Cluster::start(2, 2).await;
    let mut subscriber = cluster.redis(0).await;
    let mut publisher = cluster.redis(1).await;
    assert_eq!(publisher.ask("PUBLISH news nobody").await, ":0");
    assert_eq!(subscriber.ask("SUBSCRIBE news").await, "*[$subscribe $news :1]");
    assert_eq!(publisher.ask("PUBLISH news hello").await, ":1");
    subscriber.expect("*[$message $news $hello]").await;
    subscriber.say("UNSUBSCRIBE news").await;
    subscriber.expect("*[$unsubscribe $news :0]").await;
    assert_eq!(publisher.ask("PUBLISH news gone").await, ":0");
    subscriber.expect_silence().await;
}

#[tokio::test]
async fn people_may_type_commands() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.redis(0).await;
    client.send(b"PING\r\nECHO \"two words\"\nSUBSCRIBE news\r\n").await;
    client.expect("+PONG").await;
    client.expect("$two words").await;
    client.expect("*[$subscribe $news :1]").await;
}

#[tokio::test]
async fn names_and_payloads_are_any_bytes() {
    let cluster = Cluster::start(2, 2).await;
    let mut subscriber = cluster.redis(0).await;
    let mut publisher = cluster.redis(1).await;
    for name in [&b"\0\r\n\xff"[..], b"", b"\xff", b"\xfe", b" "] {
        subscriber.send(&command(&[b"SUBSCRIBE", name])).await;
        let name_shown = String::from_utf8_lossy(name).into_owned();
        assert!(subscriber.value().await.starts_with(&format!("*[$subscribe ${name_shown} :")));
        for payload in [&b"\0\xff\r\n"[..], b"", b"{}", b"$5\r\n"] {
            publisher.send(&command(&[b"PUBLISH", name, payload])).await;
            publisher.expect(":1").await;
            let payload = String::from_utf8_lossy(payload);
            subscriber.expect(&format!("*[$message ${name_shown} ${payload}]")).await;
        }
    }
    let large = vec![b'x'; 1 << 20];
    publisher.send(&command(&[b"PUBLISH", b"", &large])).await;
    publisher.expect(":1").await;
    assert_eq!(subscriber.value().await.len(), "*[$message $ $]".len() + large.len());
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order_whatever_waits() {
    let cluster = Cluster::start(2, 2).await;
    let mut other = cluster.redis(1).await;
    other.ask("SUBSCRIBE order").await;
    let mut client = cluster.redis(0).await;
    client.say("HELLO 3").await;
    assert!(client.value().await.starts_with("%["));
    let mut lines: Vec<String> = (0..1000).map(|number| format!("PUBLISH order {number}")).collect();
    lines.extend(
        ["PING a", "SUBSCRIBE one", "SUBSCRIBE two three", "PING b", "PUBLISH one x"].map(String::from),
    );
    lines.extend(
        ["UNSUBSCRIBE one", "PUBLISH one y", "FOO", "PUBSUB NUMSUB two one", "ECHO end"].map(String::from),
    );
    let bytes: Vec<u8> = lines
        .iter()
        .flat_map(|line| command(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>()))
        .collect();
    client.send(&bytes).await;
    for number in 0..1000 {
        client.expect(":1").await;
        other.expect(&format!("*[$message $order ${number}]")).await;
    }
    for reply in
        ["$a", ">[$subscribe $one :1]", ">[$subscribe $two :2]", ">[$subscribe $three :3]", "$b", ":1"]
    {
        client.expect(reply).await;
    }
    client.expect(">[$message $one $x]").await;
    client.expect(">[$unsubscribe $one :2]").await;
    client.expect(":0").await;
    client.expect("-ERR unknown command 'FOO', with args beginning with: ").await;
    client.expect("*[$two :1 $one :0]").await;
    client.expect("$end").await;
}

#[tokio::test]
async fn the_version_may_change_while_subscribed() {
    let cluster = Cluster::start(1, 1).await;
    let mut publisher = cluster.redis(0).await;
    let mut client = cluster.redis(0).await;
    client.ask("HELLO 3").await;
    client.ask("SUBSCRIBE news").await;
    publisher.ask("PUBLISH news 3").await;
    client.expect(">[$message $news $3]").await;
    assert!(client.ask("HELLO 2").await.starts_with("*[$server $redis "));
    publisher.ask("PUBLISH news 2").await;
    client.expect("*[$message $news $2]").await;
    let refused = "-ERR Can't execute 'hello': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                   allowed in this context";
    assert_eq!(client.ask("HELLO 3").await, refused);
    assert_eq!(client.ask("RESET").await, "+RESET");
    assert_eq!(client.ask("PUBLISH news nobody").await, ":0");
}
