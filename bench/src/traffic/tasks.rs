//! The tasks of a run: one per connection. A subscriber reads; a publisher reads and publishes.

use std::rc::Rc;
use std::time::Instant;

use super::member::Member;
use super::shared::Shared;
use crate::client::{Connection, Lost, Received};
use crate::pacer::Pacer;
use crate::schedule::{HEARTBEAT, Schedule, heartbeats};

/// Publishes sent before the publisher looks at what came in.
const BURST: usize = 64;

/// Reads until the run closes or the connection is lost.
pub(crate) async fn subscribe(
    mut connection: Connection,
    member: Rc<Member>,
    shared: Rc<Shared>,
    total: usize,
) {
    let mut beat = heartbeats(member.number, total, HEARTBEAT);
    let mut beats = 0;
    let closing = shared.closing.notified();
    tokio::pin!(closing);
    let lost = loop {
        // Reading first: the timer is looked at only when there is nothing to read. Receiving, ticking and the
        // notice can be dropped half-way without loss.
        tokio::select! {
            biased;
            received = connection.receive() => match received {
                Ok(received) => {
                    if let Err(lost) = take(&mut connection, &member, &received).await {
                        break lost;
                    }
                }
                Err(lost) => break lost,
            },
            () = &mut closing => return connection.close().await,
            _ = beat.tick(), if member.channel.beats() => {
                beats += 1;
                if let Err(lost) = connection.send(member.channel.heartbeat(beats)).await {
                    break lost;
                }
            }
        }
    };
    member.lost(&lost);
}

/// Publishes on its topic as the schedule says until the end, and reads until the run closes.
pub(crate) async fn publish(
    mut connection: Connection,
    member: Rc<Member>,
    shared: Rc<Shared>,
    mut schedule: Schedule,
    total: usize,
) {
    let mut pacer = match Pacer::new() {
        Ok(pacer) => pacer,
        Err(error) => {
            shared.publishers_at_work.set(shared.publishers_at_work.get() - 1);
            return member.lost(&Lost(format!("no timer for the publisher: {error}")));
        }
    };
    let mut beat = heartbeats(member.number, total, HEARTBEAT);
    let mut beats = 0;
    let closing = shared.closing.notified();
    tokio::pin!(closing);
    let mut at_work = true;
    let lost = loop {
        if member.is_gone() {
            // Its channel was ended: no reply can come.
            member.topic.publisher_left();
        }
        if at_work {
            if !member.is_gone()
                && let Err(lost) = publish_due(&mut connection, &member, &shared, &mut schedule).await
            {
                break lost;
            }
            if member.is_gone() || schedule.over(Instant::now(), shared.end.get()) {
                at_work = false;
                shared.publishers_at_work.set(shared.publishers_at_work.get() - 1);
            }
        }
        let due = schedule.due();
        // All of these can be dropped half-way without loss: a notice that was given stays given.
        tokio::select! {
            biased;
            received = connection.receive() => match received {
                Ok(received) => {
                    if let Err(lost) = take(&mut connection, &member, &received).await {
                        break lost;
                    }
                }
                Err(lost) => break lost,
            },
            () = &mut closing => return connection.close().await,
            () = member.topic.progress.notified(), if at_work && due.is_none() => {}
            () = shared.end_moved.notified(), if at_work => {}
            waited = pacer.wait_until(due.unwrap_or_else(Instant::now)), if at_work && due.is_some() => {
                if let Err(error) = waited {
                    break Lost(format!("the publisher's timer failed: {error}"));
                }
            }
            _ = beat.tick(), if member.channel.beats() => {
                beats += 1;
                if let Err(lost) = connection.send(member.channel.heartbeat(beats)).await {
                    break lost;
                }
            }
        }
    };
    if at_work {
        shared.publishers_at_work.set(shared.publishers_at_work.get() - 1);
    }
    member.topic.publisher_left();
    member.lost(&lost);
}

/// Counts and checks what a frame says, and answers where the server waits for it.
async fn take(connection: &mut Connection, member: &Member, received: &Received) -> Result<(), Lost> {
    for answer in member.received(received) {
        connection.send(answer).await?;
    }
    Ok(())
}

async fn publish_due(
    connection: &mut Connection,
    member: &Member,
    shared: &Shared,
    schedule: &mut Schedule,
) -> Result<(), Lost> {
    let topic = &member.topic;
    let mut count = 0;
    while count < BURST {
        let now = Instant::now();
        let end = shared.end.get();
        let Some(started) = schedule.take(topic.in_flight(), now, end) else {
            break;
        };
        let measured = started >= shared.begin && started < end;
        let sequence = topic.publish(started, now, measured);
        let frame = member.channel.publish(sequence, &topic.payload.text(sequence));
        connection.feed(frame).await?;
        count += 1;
        if shared.measuring.get() {
            shared.publishes.set(shared.publishes.get() + 1);
        }
        if measured {
            shared.lateness.borrow_mut().record(now.saturating_duration_since(started));
        }
    }
    if count > 0 { connection.flush().await } else { Ok(()) }
}
