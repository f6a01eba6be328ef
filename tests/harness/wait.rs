//! Waiting for what will be so, and never for time to pass.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take that is not itself about time. Far more than it needs: machines may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until `check` succeeds, and returns what it gave. Fails with the last error when it never does.
pub(crate) async fn eventually<T, E: Debug>(
    what: &str,
    deadline: Duration,
    mut check: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        match check().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < end, "waited {deadline:?} in vain: {what}: {error:?}"),
        }
        sleep(LOOK).await;
    }
}

/// For [`eventually`].
pub(crate) fn equal<T: Debug + PartialEq>(is: T, wanted: T) -> Result<(), String> {
    if is == wanted { Ok(()) } else { Err(format!("is {is:?}, should be {wanted:?}")) }
}
