//! hyper's connection of HTTP/1.1, as client or as server, driven over the stream that is lent to it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::incoming::Fate;
use crate::connection::{Io, Lent, Protocol};

/// Polls it once, and writes down what has ended the connection, if anything has. `Some`: hyper is done with it, or may not have it any more.
pub(super) fn poll_once<P: Protocol>(
    connection: &mut (impl Future<Output = hyper::Result<()>> + Unpin),
    io: &mut Io<'_, P>,
    lent: &Lent,
    fate: &Fate,
    cx: &mut Context<'_>,
) -> Option<hyper::Result<()>> {
    let polled = io.lend(lent, cx, |cx| Pin::new(connection).poll(cx));
    if let Some(cause) = io.link().cause() {
        let _ = fate.set(cause.clone());
    }
    match polled {
        None => Some(Ok(())),
        Some(Poll::Pending) => None,
        Some(Poll::Ready(result)) => Some(result),
    }
}
