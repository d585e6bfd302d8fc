//! The deadlines and marks of a connection.

use std::time::Duration;

/// The deadlines and high-water marks of one connection.
///
/// `Options::default()` is what a connection gets when nobody says otherwise; every field says its default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How long resolving the name and connecting may take together; by a proxy, all of the way to the tunnel. Default 10 s.
    pub dial: Duration,
    /// How long the TLS handshake may take. Default 10 s.
    pub handshake: Duration,
    /// Close gracefully when nothing was moved for so long. Default `None`: never.
    pub idle: Option<Duration>,
    /// While closing: how long the peer may take *nothing* of what it is owed. Each byte that it takes starts it anew. Default 30 s.
    pub flush: Duration,
    /// How long to wait for the peer's close_notify after ours is out. Default 5 s. TLS 1.3 lets a peer not answer (RFC 8446, section 6.1), and
    /// some never do, so this bounds every close.
    pub linger: Duration,
    /// What to do with data that the peer sends after our close was asked for. Default [`LateData::Discard`].
    pub late_data: LateData,
    /// Writes wait while this many bytes or more are accepted and not yet written; 0 is taken as 1. Default 256 KiB.
    pub write_high: usize,
    /// Writing goes on when it has fallen to this; above `write_high`, it is taken as that. Default 64 KiB.
    pub write_low: usize,
    /// How many bytes a protocol may leave unconsumed before the connection ends as a [protocol error](crate::Reason::Protocol). Default 1 MiB.
    pub unread: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            dial: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            idle: None,
            flush: Duration::from_secs(30),
            linger: Duration::from_secs(5),
            late_data: LateData::Discard,
            write_high: 256 * 1024,
            write_low: 64 * 1024,
            unread: 1024 * 1024,
        }
    }
}

/// What becomes of data that the peer sends after our close was asked for and before its close_notify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LateData {
    /// Read, so that the peer is never stuck, and thrown away. It does not count as [`bytes_in`](crate::Lost::bytes_in).
    #[default]
    Discard,
    /// Given to the protocol as before.
    Deliver,
}

/// Defines builder methods that change the `options` field: the same for `Connect`, `Adopt` and `Listen`.
macro_rules! option_setters {
    () => {
        /// All deadlines and marks at once.
        pub fn options(mut self, options: $crate::Options) -> Self {
            self.options = options;
            self
        }

        /// How long the TLS handshake may take. Default 10 s.
        pub fn handshake_timeout(mut self, within: std::time::Duration) -> Self {
            self.options.handshake = within;
            self
        }

        /// Close gracefully when nothing was moved for so long. Default: never.
        pub fn idle_timeout(mut self, after: std::time::Duration) -> Self {
            self.options.idle = Some(after);
            self
        }

        /// How long to wait for the peer's close_notify after ours. Default 5 s.
        pub fn linger(mut self, linger: std::time::Duration) -> Self {
            self.options.linger = linger;
            self
        }

        /// While closing: how long the peer may take nothing of what it is owed. Default 30 s.
        pub fn flush_timeout(mut self, within: std::time::Duration) -> Self {
            self.options.flush = within;
            self
        }

        /// How many bytes a protocol may leave unconsumed. Default 1 MiB.
        pub fn most_unread(mut self, bytes: usize) -> Self {
            self.options.unread = bytes;
            self
        }

        /// What becomes of data that comes after our close. Default: discarded.
        pub fn late_data(mut self, late_data: $crate::LateData) -> Self {
            self.options.late_data = late_data;
            self
        }

        /// The marks of the write buffer, in bytes. Defaults 256 KiB and 64 KiB. A `low` above `high` is taken as `high`, a `high` of 0 as 1.
        pub fn write_marks(mut self, high: usize, low: usize) -> Self {
            self.options.write_high = high;
            self.options.write_low = low;
            self
        }
    };
}
pub(crate) use option_setters;
