//! What is told to people and dashboards: `tracing` events, and metrics behind a feature.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `exeunt_connections` | gauge | `role`, `phase` |
//! | `exeunt_connections_admitted_total`, `exeunt_connections_connected_total` | counter | `role` |
//! | `exeunt_connections_refused_total` | counter | `refusal`: `stopping`, `limit` |
//! | `exeunt_connections_lost_total` | counter | `role`, `phase`, `reason` |
//! | `exeunt_connection_age_seconds` | histogram | `role`, `reason` |
//! | `exeunt_bytes_total` | counter | `direction`: `in`, `out`, `unsent` |
//! | `exeunt_http_requests_total` | counter | `method`, `status`: `2xx` and so on, or `none` |
//! | `exeunt_http_first_byte_seconds` | histogram | the same: to the head of the response, redirects and retries included |
//! | `exeunt_http_retries_total` | counter | `method` |

use crate::{
    fate::{Lost, Reason, Role},
    lifecycle::Phase,
    ticket::Refusal,
};

/// The end of a connection, at a level that fits: what was asked for is debug, what a peer or the network did is info, what we had to force or lost is a warning, a panic is an error.
pub(crate) fn lost(lost: &Lost) {
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                reason = lost.reason.code(),
                detail = %lost.reason,
                phase = %lost.phase,
                bytes_in = lost.bytes_in,
                bytes_out = lost.bytes_out,
                bytes_unsent = lost.bytes_unsent,
                close_notify_sent = lost.proof.close_notify_sent,
                close_notify_received = lost.proof.close_notify_received,
                "lost"
            )
        };
    }
    match &lost.reason {
        Reason::Panicked(_) => tell!(error),
        Reason::Killed | Reason::Abandoned => tell!(warn),
        reason if reason.is_expected() => tell!(debug),
        _ => tell!(info),
    }
    #[cfg(feature = "metrics")]
    metered::lost(lost);
}

/// A connection was admitted, in this phase.
pub(crate) fn admitted(_role: Role, _phase: Phase) {
    #[cfg(feature = "metrics")]
    metered::admitted(_role, _phase);
}

/// One was refused.
pub(crate) fn refused(_refusal: Refusal) {
    #[cfg(feature = "metrics")]
    metered::refused(_refusal);
}

/// A connection has moved to another phase, which is not `Lost`.
pub(crate) fn moved(_role: Role, _from: Phase, _to: Phase) {
    #[cfg(feature = "metrics")]
    metered::moved(_role, _from, _to);
}

/// One is open for the first time.
pub(crate) fn connected(_role: Role) {
    #[cfg(feature = "metrics")]
    metered::connected(_role);
}

/// Since when a request of a session's is on its way. Without `metrics` nobody wants to know, and the clock is not asked.
#[cfg(feature = "http")]
pub(crate) struct Asked(#[cfg(feature = "metrics")] tokio::time::Instant);

#[cfg(feature = "http")]
impl Asked {
    pub(crate) fn now() -> Self {
        Asked(
            #[cfg(feature = "metrics")]
            tokio::time::Instant::now(),
        )
    }

    /// It has its response, or none.
    pub(crate) fn answered(self, _method: &http::Method, _status: Option<http::StatusCode>) {
        #[cfg(feature = "metrics")]
        metered::requested(_method, _status, self.0.elapsed());
    }
}

/// A request is asked again.
#[cfg(feature = "http")]
pub(crate) fn retried(_method: &http::Method) {
    #[cfg(feature = "metrics")]
    metrics::counter!("exeunt_http_retries_total", "method" => metered::method(_method)).increment(1);
}

#[cfg(feature = "metrics")]
mod metered {
    use metrics::{Gauge, counter, gauge, histogram};

    use crate::{
        fate::{Lost, Role},
        lifecycle::Phase,
        ticket::Refusal,
    };

    fn alive(role: Role, phase: Phase) -> Gauge {
        gauge!("exeunt_connections", "role" => role.as_str(), "phase" => phase.as_str())
    }

    pub(super) fn admitted(role: Role, phase: Phase) {
        alive(role, phase).increment(1.0);
        counter!("exeunt_connections_admitted_total", "role" => role.as_str()).increment(1);
    }

    pub(super) fn refused(refusal: Refusal) {
        let refusal = match refusal {
            Refusal::Stopping => "stopping",
            Refusal::Limit(_) => "limit",
        };
        counter!("exeunt_connections_refused_total", "refusal" => refusal).increment(1);
    }

    pub(super) fn moved(role: Role, from: Phase, to: Phase) {
        alive(role, from).decrement(1.0);
        alive(role, to).increment(1.0);
    }

    pub(super) fn connected(role: Role) {
        counter!("exeunt_connections_connected_total", "role" => role.as_str()).increment(1);
    }

    /// The methods that HTTP has; anything else is one word, so that a peer's or a user's invention makes no new series.
    #[cfg(feature = "http")]
    pub(super) fn method(method: &http::Method) -> &'static str {
        ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"]
            .into_iter()
            .find(|known| *known == method.as_str())
            .unwrap_or("other")
    }

    #[cfg(feature = "http")]
    pub(super) fn requested(asked: &http::Method, status: Option<http::StatusCode>, took: std::time::Duration) {
        let status = match status.map(|status| status.as_u16() / 100) {
            Some(1) => "1xx",
            Some(2) => "2xx",
            Some(3) => "3xx",
            Some(4) => "4xx",
            Some(5) => "5xx",
            Some(_) => "other",
            None => "none",
        };
        counter!("exeunt_http_requests_total", "method" => method(asked), "status" => status).increment(1);
        histogram!("exeunt_http_first_byte_seconds", "method" => method(asked), "status" => status).record(took);
    }

    pub(super) fn lost(lost: &Lost) {
        let (role, reason) = (lost.role.as_str(), lost.reason.code());
        alive(lost.role, lost.phase).decrement(1.0);
        counter!("exeunt_connections_lost_total", "role" => role, "phase" => lost.phase.as_str(), "reason" => reason)
            .increment(1);
        histogram!("exeunt_connection_age_seconds", "role" => role, "reason" => reason).record(lost.age);
        for (direction, bytes) in [("in", lost.bytes_in), ("out", lost.bytes_out), ("unsent", lost.bytes_unsent)] {
            counter!("exeunt_bytes_total", "direction" => direction).increment(bytes);
        }
    }
}
