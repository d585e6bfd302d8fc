//! What a session goes by.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use tokio::time::Instant;

use super::{hooks::Hooks, retry::Retry, via::Ways};
#[cfg(feature = "http2")]
use crate::http::Http2Options;
use crate::{
    connection::Options,
    dial::{DialOptions, Resolver},
    http::Versions,
    tls::ClientTls,
};

/// How many connections a session may have, and for how long it keeps them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Connections in all, those being dialled included; those that are closing no longer count. Default 100.
    pub total: usize,
    /// The same for each host, which is: scheme, host, port, server name, TLS configuration, choice of versions, and the way there. Default: no limit but the total.
    pub per_host: usize,
    /// An idle connection is closed after so long. Default 15 s: less than the servers in wide use wait, so that a request does not meet a close on its way.
    pub idle: Duration,
    /// A connection bears no further exchange when it is so old. Default `None`: it may live for ever.
    pub age: Option<Duration>,
    /// By which part of it the age is made shorter at random, from 0 to 1, so that connections that were made together do not go together. Default 0.1.
    pub age_jitter: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { total: 100, per_host: usize::MAX, idle: Duration::from_secs(15), age: None, age_jitter: 0.1 }
    }
}

impl Limits {
    pub(super) fn is_stale(&self, idle_since: Instant, retire: Option<Instant>, now: Instant) -> bool {
        now.saturating_duration_since(idle_since) >= self.idle || retire.is_some_and(|retire| retire <= now)
    }

    /// When a connection that is made now is too old.
    pub(super) fn retire(&self, now: Instant) -> Option<Instant> {
        let spared = 1.0 - self.age_jitter.clamp(0.0, 1.0) * fastrand::f64();
        // What the clock cannot say is never.
        self.age.and_then(|age| now.checked_add(age.mul_f64(spared)))
    }
}

/// The deadlines of a request. `None`: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Of all of it: queue, dial, redirects, retries and the response's body. Default none.
    pub total: Option<Duration>,
    /// How long to wait for a connection when as many as may be are in use. Default none.
    pub pool: Option<Duration>,
    /// How long resolving the name and connecting may take together, when a connection is dialled; by a proxy, all of the way to the tunnel. Default 10 s.
    pub dial: Duration,
    /// How long the TLS handshake may take. Default 10 s.
    pub handshake: Duration,
    /// From the request's being given to its connection to the head of the response; so it must leave time for the request's body. Default none.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the response's body, while somebody waits for the next. Default none.
    pub between_reads: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let options = Options::default();
        Timeouts {
            total: None,
            pool: None,
            dial: options.dial,
            handshake: options.handshake,
            first_byte: None,
            between_reads: None,
        }
    }
}

/// What is fixed when the session is built.
pub(super) struct Config {
    pub(super) base: Option<url::Url>,
    pub(super) headers: HeaderMap,
    pub(super) tls: Option<ClientTls>,
    pub(super) resolver: Option<Arc<dyn Resolver>>,
    pub(super) ways: Ways,
    pub(super) dial: DialOptions,
    pub(super) linger: Duration,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    pub(super) redirects: usize,
    pub(super) retry: Retry,
    pub(super) versions: Versions,
    #[cfg(feature = "http2")]
    pub(super) http2: Http2Options,
    pub(super) decode: bool,
    pub(super) most_decoded: Option<u64>,
    pub(super) hooks: Option<Arc<dyn Hooks>>,
    #[cfg(feature = "cookies")]
    pub(super) cookies: Option<crate::http::CookieJar>,
}
