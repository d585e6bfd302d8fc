//! Which address wins: Happy Eyeballs (RFC 8305), without its DNS part.
//!
//! The attempts start one after the other, in an order that alternates between the two families. The next one starts when the delay has passed since the last start, or at
//! once when any attempt fails. The first to connect wins; the others are dropped with the future that held them, which closes their sockets before the race returns.
//!
//! Nothing here knows a socket, so the tests run on a paused clock.

use std::{collections::VecDeque, future::Future, io, net::SocketAddr, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;

use crate::fate::Attempt;

/// The least delay that RFC 8305 allows (section 8); it recommends no less than 100 ms. A failure still starts the next attempt at once.
const LEAST_DELAY: Duration = Duration::from_millis(10);

/// Connects to the first of the addresses that lets us. There is no deadline but the caller's.
///
/// A `delay` under 10 ms counts as 10 ms.
///
/// # Errors
/// Every address failed: each with its error, in the order of failure. Nothing at all if there was no address.
pub(crate) async fn race<S, C, F>(addresses: &[SocketAddr], delay: Duration, connect: C) -> Result<S, Vec<Attempt>>
where
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<S>>,
{
    let delay = delay.max(LEAST_DELAY);
    let mut waiting = interleave(addresses);
    let mut running = FuturesUnordered::new();
    let mut failed = Vec::with_capacity(addresses.len());
    loop {
        if let Some(address) = waiting.pop_front() {
            let attempt = connect(address);
            running.push(async move { (address, attempt.await) });
        }
        let finished = match waiting.is_empty() {
            true => running.next().await,
            false => match timeout(delay, running.next()).await {
                Ok(finished) => finished,
                Err(_delay_has_passed) => continue,
            },
        };
        match finished {
            Some((_, Ok(stream))) => return Ok(stream),
            Some((address, Err(error))) => {
                failed.push(Attempt { address, kind: error.kind(), message: error.to_string() });
            }
            // Nothing runs, and nothing waits, or it would run.
            None => return Err(failed),
        }
    }
}

/// Alternates between the families, beginning with that of the first address; the order within a family is kept (RFC 8305, section 4, with a First Address Family Count
/// of 1).
fn interleave(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (VecDeque<_>, VecDeque<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = VecDeque::with_capacity(addresses.len());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
#[path = "race_tests.rs"]
mod tests;
