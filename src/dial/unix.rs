//! Unix-domain sockets.

use std::{io, os::unix::ffi::OsStrExt, path::Path, time::Duration};

use tokio::{
    net::UnixStream,
    time::{Instant, sleep},
};

use super::{
    Dialed, TargetError,
    target::{MOST_PATH, Problem},
};
use crate::fate::DialFailure;

/// Whether a path can be a socket's.
pub(crate) fn check(path: &Path) -> Result<(), TargetError> {
    let bytes = path.as_os_str().as_bytes();
    let problem = match bytes.len() {
        0 => Problem::PathMissing,
        n if n > MOST_PATH => Problem::PathTooLong,
        _ if bytes.contains(&0) => Problem::PathWithNul,
        _ => return Ok(()),
    };
    Err(TargetError::new(&format!("unix:{}", path.display()), problem))
}

/// How long to wait before asking again a listener whose backlog is full: nothing tells when there is room (`man 2 connect`, EAGAIN). Chosen arbitrarily.
const FULL: Duration = Duration::from_millis(5);

/// Connects to the socket at this path. There is no deadline in it, as in every dial.
///
/// # Errors
/// The operating system's. A full backlog is none: it is waited for.
pub(super) async fn connect(path: &Path) -> Result<Dialed, DialFailure> {
    let failure = |error: io::Error| DialFailure::Unix {
        path: path.display().to_string(),
        kind: error.kind(),
        message: error.to_string(),
    };
    loop {
        match UnixStream::connect(path).await {
            Ok(socket) => return Ok(Dialed { socket: socket.into(), resolved: Instant::now() }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL).await,
            Err(error) => return Err(failure(error)),
        }
    }
}
