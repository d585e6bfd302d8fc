//! HTTP: the session against peers that misbehave at every place and against servers that we did not write; the server against clients that do.

use std::{future::Future, time::Duration};

mod crowd;
#[cfg(feature = "http2")]
mod frames;
mod peer;
#[path = "../common/process.rs"]
mod process;
mod proxies;
#[path = "../common/roll_call.rs"]
mod roll_call;
mod servers;
mod serving;
mod session;
mod stage;
#[cfg(unix)]
mod unix;
mod upgrades;
#[cfg(feature = "websocket")]
mod websocket;

/// Bounds a wait, so that a defect is a failure and not a hang. Nothing is expected to come near it.
async fn soon<T>(what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(30), what).await.ok()
}
