//! How HTTP/2 is spoken.

use std::time::Duration;

use hyper::{client, server};
use hyper_util::rt::TokioTimer;

/// How HTTP/2 is spoken on a connection, by a client ([`SessionBuilder::http2`](super::super::SessionBuilder::http2)) or a server ([`ServerOptions::http2`](super::super::ServerOptions::http2)).
///
/// **Windows** are how much a peer may send that nobody has read yet (RFC 9113, section 5.2): a reader that is slow stops its own stream when the stream's window is full, and the others go on as long as there is room in
/// the connection's. So a connection holds no more than `connection_window` of what was received, whatever its readers do; and by default no number of slow readers can stop another one.
///
/// ```
/// use std::time::Duration;
/// use exeunt::http::{Http2Options, Session};
///
/// let session = Session::builder().http2(Http2Options::client().ping(Duration::from_secs(30), Duration::from_secs(10)));
/// # let _ = session;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http2Options {
    /// How many exchanges a connection bears at a time, at most: what a server announces (SETTINGS_MAX_CONCURRENT_STREAMS), and what a client makes use of where the server allows more. Default 100.
    pub max_streams: u32,
    /// How many bytes may be received on a stream beyond what was read. Default 256 KiB for a client, 65,535 for a server; at most 2^31 - 1.
    pub stream_window: u32,
    /// The same for all streams of a connection together, at least 65,535. Default `None`: as much as all of them may hold, which is the product of the two above.
    pub connection_window: Option<u32>,
    /// How large a head may be, in bytes, names and values counted as they are before compression and with 32 for each field (RFC 9113, section 6.5.2). Default 64 KiB; a larger one resets its stream.
    pub max_head: u32,
    /// A PING is sent when nothing was received for so long. Default `None`: never.
    pub ping_interval: Option<Duration>,
    /// How long its answer may take; then the connection ends as timed out. Default 20 s.
    pub ping_timeout: Duration,
    /// Whether a client sends them also while no exchange is under way. A server always does. Default `false`: servers count them as abuse.
    pub ping_while_idle: bool,
}

/// What is buffered for sending, a stream. Beside it, a stream holds one chunk of its body.
const SEND_BUFFER: usize = 64 * 1024;

/// RFC 9113, section 6.9.1.
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// RFC 9113, section 6.9.2. A connection's window cannot be made smaller.
const FIRST_WINDOW: u32 = 65_535;

impl Http2Options {
    /// The defaults of a client.
    pub fn client() -> Self {
        Http2Options {
            max_streams: 100,
            stream_window: 256 * 1024,
            connection_window: None,
            max_head: 64 * 1024,
            ping_interval: None,
            ping_timeout: Duration::from_secs(20),
            ping_while_idle: false,
        }
    }

    /// The defaults of a server, where strangers decide how much is sent: its window is the smallest that every client expects, so that a connection of 100 streams holds what 100 connections of HTTP/1.1 would.
    pub fn server() -> Self {
        Http2Options { stream_window: FIRST_WINDOW, ..Http2Options::client() }
    }

    /// How many exchanges a connection bears at a time, at most. Default 100; 0 is taken as 1.
    pub fn max_streams(mut self, most: u32) -> Self {
        self.max_streams = most;
        self
    }

    /// How many bytes may be received on a stream, and on all of them together, beyond what was read.
    pub fn windows(mut self, stream: u32, connection: impl Into<Option<u32>>) -> Self {
        self.stream_window = stream;
        self.connection_window = connection.into();
        self
    }

    /// How large a head may be, in bytes. Default 64 KiB.
    pub fn max_head(mut self, bytes: u32) -> Self {
        self.max_head = bytes;
        self
    }

    /// Sends a PING when nothing was received for `interval`, and ends the connection as timed out when that is not answered within `timeout`. Default: never.
    pub fn ping(mut self, interval: Duration, timeout: Duration) -> Self {
        self.ping_interval = Some(interval);
        self.ping_timeout = timeout;
        self
    }

    /// Whether a client sends them also while no exchange is under way. Default: it does not.
    pub fn ping_while_idle(mut self, wanted: bool) -> Self {
        self.ping_while_idle = wanted;
        self
    }

    pub(in crate::http) fn streams(&self) -> usize {
        self.max_streams.max(1) as usize
    }

    /// What hyper would panic at is brought within its bounds.
    fn windows_within_bounds(&self) -> (u32, u32) {
        let stream = self.stream_window.min(LARGEST_WINDOW);
        let connection = self.connection_window.unwrap_or(stream.saturating_mul(self.max_streams.max(1)));
        (stream, connection.clamp(FIRST_WINDOW, LARGEST_WINDOW))
    }

    /// `presumed`: how many streams the server allows, before it has said so.
    pub(in crate::http) fn of_client(
        &self,
        spawner: super::Spawner,
        presumed: usize,
    ) -> client::conn::http2::Builder<super::Spawner> {
        let (stream, connection) = self.windows_within_bounds();
        let mut builder = client::conn::http2::Builder::new(spawner);
        builder
            .timer(TokioTimer::new())
            .initial_max_send_streams(presumed)
            .initial_stream_window_size(stream)
            .initial_connection_window_size(connection)
            .max_header_list_size(self.max_head)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(self.ping_interval)
            .keep_alive_timeout(self.ping_timeout)
            .keep_alive_while_idle(self.ping_while_idle);
        builder
    }

    pub(in crate::http) fn of_server(&self, spawner: super::Spawner) -> server::conn::http2::Builder<super::Spawner> {
        let (stream, connection) = self.windows_within_bounds();
        let mut builder = server::conn::http2::Builder::new(spawner);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams.max(1))
            .initial_stream_window_size(stream)
            .initial_connection_window_size(connection)
            .max_header_list_size(self.max_head)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(self.ping_interval)
            .keep_alive_timeout(self.ping_timeout);
        builder
    }
}
