//! Waiting for what will be so, with a deadline, and never for time to pass.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until it is so, and gives how long that took; an error says what was waited for and what was seen last.
pub(crate) async fn eventually<T, E: std::fmt::Debug>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> std::result::Result<T, E>,
) -> Result<T> {
    let begin = Instant::now();
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(seen) if begin.elapsed() > patience => {
                return Err(Failure::new(format!("not within {patience:?}: {what}; seen last: {seen:?}")));
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// How long after `since` it was so; None if it was not within `patience`.
pub(crate) async fn time_until(
    since: Instant,
    patience: Duration,
    mut look: impl AsyncFnMut() -> bool,
) -> Option<Duration> {
    while !look().await {
        if since.elapsed() > patience {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
    Some(since.elapsed())
}
