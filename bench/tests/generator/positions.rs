//! Topics with positions, history and keys for the small server: honest, but for what is planted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::server::{Handler, Outbox, Server, in_order, send};

/// What the topics do wrong, or what befalls them. Members are named by their number in the run, publishers first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Plant {
    None,
    /// The member does not get the message with this offset.
    Drop {
        member: usize,
        offset: u64,
    },
    /// It gets it twice.
    Double {
        member: usize,
        offset: u64,
    },
    /// It gets it after the next one.
    Swap {
        member: usize,
        offset: u64,
    },
    /// Resumes are answered `recovered: true`, and what was missed does not come.
    ForgeRecovery,
    /// There is no history, and who resumes is told so.
    NoHistory,
    /// The reply to the publish at this offset says the next one.
    WrongReply {
        offset: u64,
    },
    /// The publish is acknowledged at this offset, and then never happened.
    Vanish {
        offset: u64,
    },
    /// Every publish of this many is done, and answered as unknown; the key is remembered, or not.
    Unknown {
        every: u64,
        keys: bool,
    },
    /// The publish is done and never answered; the same key is.
    Silent {
        publish: u64,
    },
    /// Every publish of this many is refused as not published; honestly, or although it is delivered.
    Refuse {
        every: u64,
        deliver: bool,
    },
    /// At every publish of this many all connections of the topic end, and the reply is lost.
    CutAll {
        every: u64,
    },
    /// At this publish the topic's memory is lost: a new epoch, of which the members are told, or not.
    Restart {
        publish: u64,
        told: bool,
    },
    /// At this publish everybody is told of a loss that did not happen.
    Notice {
        publish: u64,
    },
}

#[derive(Default)]
struct Topic {
    epoch: u64,
    /// Event and payload of offset 1, 2, ….
    history: Vec<(Value, String)>,
    keys: HashMap<String, u64>,
    /// join_ref and outbox.
    members: Vec<(String, Outbox)>,
    publishes: u64,
    held: Option<Message>,
}

pub(crate) struct Topics {
    plant: Plant,
    topics: Mutex<HashMap<String, Topic>>,
}

impl Topics {
    /// Two gateways to the same topics.
    pub(crate) fn start(plant: Plant) -> [Server; 2] {
        let topics = Arc::new(Self { plant, topics: Mutex::default() });
        [Server::serving(topics.clone()), Server::serving(topics)]
    }
}

impl Handler for Topics {
    fn handle(&self, frame: &Value, outbox: &Outbox) {
        let [join_ref, reference, topic, event, body] = frame.as_array().unwrap().as_slice() else {
            panic!()
        };
        let reply = |status: &str, response: Value| {
            let body = json!({"status": status, "response": response});
            send(outbox, json!([join_ref, reference, topic, "phx_reply", body]).to_string());
        };
        let mut topics = self.topics.lock().unwrap();
        let name = topic.as_str().unwrap();
        let entry = topics.entry(name.to_owned()).or_default();
        match event.as_str().unwrap() {
            "heartbeat" => reply("ok", json!({})),
            "phx_join" if body.as_object().unwrap().is_empty() => reply("ok", json!({})),
            "phx_join" => {
                entry.members.retain(|(_, outbox)| !outbox.is_closed());
                entry.members.push((join_ref.as_str().unwrap().to_owned(), outbox.clone()));
                entry.join(self.plant, name, &body["resume"], reply);
            }
            "publish" => entry.publish(self.plant, name, body, reply),
            other => panic!("unexpected event {other}"),
        }
    }
}

impl Topic {
    fn epoch(&self) -> String {
        format!("epoch-{}", self.epoch)
    }

    fn join(&mut self, plant: Plant, name: &str, resume: &Value, reply: impl Fn(&str, Value)) {
        let last = self.history.len() as u64;
        let position = |offset: u64| json!({"epoch": self.epoch(), "offset": offset});
        if resume.is_null() {
            return reply("ok", position(last));
        }
        let offset = resume["offset"].as_u64().unwrap();
        let recovered = plant != Plant::NoHistory && resume["epoch"] == self.epoch() && offset <= last;
        let mut response = position(if recovered { offset } else { last });
        response["recovered"] = recovered.into();
        reply("ok", response);
        if recovered && plant != Plant::ForgeRecovery {
            let (join_ref, outbox) = self.members.last().unwrap();
            for missed in offset + 1..=last {
                let _ = outbox.try_send(self.frame(name, join_ref, missed));
            }
        }
    }

    fn frame(&self, name: &str, join_ref: &str, offset: u64) -> Message {
        let (event, text) = &self.history[offset as usize - 1];
        Message::text(format!(r#"["{join_ref}",{offset},"{name}",{event},{text}]"#))
    }

    fn tell_all(&self, name: &str) {
        let body = json!({"epoch": self.epoch(), "offset": self.history.len(), "recovered": false});
        for (join_ref, outbox) in &self.members {
            send(outbox, json!([join_ref, null, name, "position", body]).to_string());
        }
    }

    fn publish(&mut self, plant: Plant, name: &str, body: &Value, reply: impl Fn(&str, Value)) {
        let key = body[2]["key"].as_str().unwrap().to_owned();
        if let Some(offset) = self.keys.get(&key) {
            return reply("ok", json!({"offset": offset}));
        }
        self.publishes += 1;
        let number = self.publishes;
        let refuse = |outcome: &str| {
            reply("error", json!({"reason": "planted", "outcome": outcome, "retry": true}));
        };
        match plant {
            Plant::Restart { publish, told } if publish == number => {
                self.epoch += u64::from(told);
                self.history.clear();
                self.keys.clear();
                if told {
                    self.tell_all(name);
                }
            }
            Plant::Notice { publish } if publish == number => self.tell_all(name),
            Plant::Refuse { every, deliver } if number.is_multiple_of(every) => {
                refuse("not_published");
                if !deliver {
                    return;
                }
            }
            _ => {}
        }
        let offset = self.history.len() as u64 + 1;
        match plant {
            Plant::WrongReply { offset: wrong } if wrong == offset => {
                reply("ok", json!({"offset": offset + 1}))
            }
            Plant::Vanish { offset: lost } if lost == offset && self.held.is_none() => {
                // Marks that it was done.
                self.held = Some(Message::text(""));
                return reply("ok", json!({"offset": offset}));
            }
            Plant::Silent { publish } if publish == number => {}
            Plant::Unknown { every, .. } if number.is_multiple_of(every) => refuse("unknown"),
            Plant::Refuse { every, .. } | Plant::CutAll { every } if number.is_multiple_of(every) => {}
            _ => reply("ok", json!({"offset": offset})),
        }
        if !matches!(plant, Plant::Unknown { keys: false, .. }) {
            self.keys.insert(key, offset);
        }
        self.history.push((body[0].clone(), in_order(&body[1])));
        self.deliver(plant, name, offset);
        if let Plant::CutAll { every } = plant
            && number.is_multiple_of(every)
        {
            for (_, outbox) in self.members.drain(..) {
                let frame = CloseFrame { code: CloseCode::from(1012), reason: "planted".into() };
                let _ = outbox.try_send(Message::Close(Some(frame)));
            }
        }
    }

    fn deliver(&mut self, plant: Plant, name: &str, offset: u64) {
        let mut held = None;
        for (join_ref, outbox) in &self.members {
            let put = |message: Message| {
                let _ = outbox.try_send(message);
            };
            let good = self.frame(name, join_ref, offset);
            let hit = |member: usize, planted: u64, offset: u64| {
                planted == offset && join_ref.starts_with(&format!("j{member}."))
            };
            match plant {
                Plant::Drop { member, offset: planted } if hit(member, planted, offset) => {}
                Plant::Double { member, offset: planted } if hit(member, planted, offset) => {
                    put(good.clone());
                    put(good);
                }
                Plant::Swap { member, offset: planted } if hit(member, planted, offset) => held = Some(good),
                Plant::Swap { member, offset: planted } if hit(member, planted + 1, offset) => {
                    put(good);
                    self.held.take().into_iter().for_each(put);
                }
                _ => put(good),
            }
        }
        self.held = held.or(self.held.take());
    }
}
