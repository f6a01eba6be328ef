//! How what travels looks in a trace.

use campanile_proto::handoff::FromPeer;
use campanile_proto::{FromGateway, FromTopicServer};

use crate::network::Packet;
use crate::server::number_of;

/// The post whose payload this is.
pub(crate) fn post_of(payload: &[u8]) -> usize {
    let bytes = payload.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(bytes) as usize
}

pub(super) fn shown(packet: &Packet) -> String {
    fn item(text: String) -> String {
        text.chars().take(260).collect()
    }
    match packet {
        Packet::Gateway { items, ring_version, .. } => {
            let items: Vec<String> = items
                .iter()
                .map(|own| match own {
                    FromGateway::Publish(publish) => format!(
                        "Publish {} number {} post {} resend {:?} settled_below {} left {:?}",
                        number_of(&publish.topic),
                        publish.number,
                        post_of(&publish.message.payload),
                        publish.resend_epoch,
                        publish.settled_below,
                        publish.time_left
                    ),
                    other => item(format!("{other:?}")),
                })
                .collect();
            format!("(ring {ring_version}) {}", items.join("; "))
        }
        Packet::Server { items, ring_version } => {
            let items: Vec<String> = items
                .iter()
                .map(|own| match own {
                    FromTopicServer::Deliver { subscription, offset, message } => {
                        format!("Deliver {subscription:?} {offset} post {}", post_of(&message.payload))
                    }
                    other => item(format!("{other:?}")),
                })
                .collect();
            format!("(ring {ring_version}) {}", items.join("; "))
        }
        Packet::Peer { items, ring_version } => {
            let items: Vec<String> = items
                .iter()
                .map(|own| match own {
                    FromPeer::State(piece) => format!(
                        "State number {} of {} {:?} last {}",
                        piece.number,
                        number_of(&piece.topic),
                        piece.head,
                        piece.last
                    ),
                    FromPeer::Rings(rings) => format!(
                        "Rings {} clean {:?}",
                        rings.newest.lines().next().unwrap_or_default(),
                        rings.clean
                    ),
                    other => item(format!("{other:?}")),
                })
                .collect();
            format!("(ring {ring_version}) {}", items.join("; "))
        }
        Packet::Close => "the end".to_owned(),
    }
}
