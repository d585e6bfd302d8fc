//! When a request is asked again.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header::RETRY_AFTER};

use crate::http::{Error, ErrorKind};

/// When a request is asked again, beside what is always done.
///
/// Always: a request of which nothing was written is sent on another connection, whatever its method; one that its peer says it did not process (HTTP/2: GOAWAY, REFUSED_STREAM) is sent up to four times more, within a second; and one with an idempotent method (RFC 9110, section 9.2.2) that was written to a connection which had served another before, and which
/// ended before the first byte of a response, is sent once more (section 9.2.2 again: the peer had most likely closed it before it came). This says what is tried beyond that. Only idempotent methods are, and only with bodies that are
/// there again: nothing, or bytes.
///
/// ```
/// use std::time::Duration;
/// use exeunt::http::{Retry, Session};
///
/// let patient = Retry::times(3).backoff(Duration::from_millis(200), Duration::from_secs(5)).on_status([503]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    most: u32,
    first: Duration,
    longest: Duration,
    statuses: Vec<StatusCode>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry::none()
    }
}

impl Retry {
    /// No more than is always done: the default.
    pub fn none() -> Self {
        Retry::times(0)
    }

    /// So many times, with pauses from 100 ms to 10 s, when there was no connection or no response.
    pub fn times(most: u32) -> Self {
        Retry { most, first: Duration::from_millis(100), longest: Duration::from_secs(10), statuses: Vec::new() }
    }

    /// The pause before the first, which doubles with each, up to `longest`. A random part of it is waited, so that many clients do not come back together.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Also when the peer answers with one of these, after the seconds of its `Retry-After` if it has any (and no longer than the longest pause). What is no status is left out. Default: none.
    pub fn on_status(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.statuses = statuses.into_iter().filter_map(|status| StatusCode::from_u16(status).ok()).collect();
        self
    }

    /// The pause before asking again after this error, if it is to be asked again. `done`: how often it was already.
    pub(super) fn after_error(&self, method: &Method, error: &Error, done: u32) -> Option<Duration> {
        let worth = match &error.kind {
            // Whatever its method.
            ErrorKind::NotProcessed(_) => return (done < self.most).then(|| self.pause(done)),
            ErrorKind::Connect(_) | ErrorKind::Lost(_) => true,
            ErrorKind::TimedOut { what, .. } => *what == crate::http::Deadline::FirstByte,
            _ => false,
        };
        (worth && done < self.most && is_idempotent(method)).then(|| self.pause(done))
    }

    /// The same for a response.
    pub(super) fn after_status(
        &self,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
        done: u32,
    ) -> Option<Duration> {
        if done >= self.most || !is_idempotent(method) || !self.statuses.contains(&status) {
            return None;
        }
        let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Some(asked.map_or_else(|| self.pause(done), |seconds| Duration::from_secs(seconds).min(self.longest)))
    }

    /// Full jitter: the pause is anything up to what doubling gives.
    fn pause(&self, done: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(done)).min(self.longest);
        doubled.mul_f64(fastrand::f64())
    }
}

/// The pause before a request that its peer did not process is asked again, the first time at once: another connection takes it, or there is room again. `done`: how often it was already. A peer that goes on
/// like this is not asked for ever.
pub(super) fn after_not_processed(done: u32) -> Option<Duration> {
    match done {
        0 => Some(Duration::ZERO),
        1..=3 => Some(Duration::from_millis(50 << done).mul_f64(0.5 + fastrand::f64() / 2.0)),
        _ => None,
    }
}

pub(super) fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idempotent_methods_and_only_so_often() {
        let retry = Retry::times(2);
        let lost = || Error::new(ErrorKind::Lost(None));
        assert!(retry.after_error(&Method::GET, &lost(), 1).is_some());
        assert!(retry.after_error(&Method::GET, &lost(), 2).is_none());
        assert!(retry.after_error(&Method::POST, &lost(), 0).is_none());
        assert!(retry.after_error(&Method::GET, &Error::new(ErrorKind::Closed), 0).is_none());
        assert!(Retry::none().after_error(&Method::GET, &lost(), 0).is_none());
    }

    #[test]
    fn pauses_grow_to_the_longest_and_no_further() {
        let retry = Retry::times(64).backoff(Duration::from_millis(100), Duration::from_secs(1));
        for done in 0..64 {
            assert!(retry.pause(done) <= Duration::from_millis(100).saturating_mul(1 << done.min(4)));
            assert!(retry.pause(done) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn a_peer_may_say_how_long() {
        let retry = Retry::times(1).on_status([503, 9]);
        let headers = |value: &str| HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        let after = |value| retry.after_status(&Method::GET, StatusCode::SERVICE_UNAVAILABLE, &headers(value), 0);
        assert_eq!(after("3"), Some(Duration::from_secs(3)));
        assert_eq!(after("3000"), Some(Duration::from_secs(10)));
        assert!(after("Fri, 31 Dec 1999 23:59:59 GMT").unwrap() <= Duration::from_millis(100));
        assert!(retry.after_status(&Method::GET, StatusCode::OK, &HeaderMap::new(), 0).is_none());
    }
}
