//! What a WebSocket allows its peer, and how it parts.

use std::time::Duration;

/// The limits and deadlines of a WebSocket; every field says its default.
///
/// ```
/// use std::time::Duration;
/// use exeunt::http::websocket::WebSocketOptions;
///
/// let options = WebSocketOptions::new().max_message(64 * 1024).ping(Duration::from_secs(30), Duration::from_secs(10));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketOptions {
    /// How many bytes a message that is received may have; a larger one ends the WebSocket with [`TOO_LARGE`](super::CloseCode::TOO_LARGE). Default 4 MiB, which is aiohttp's.
    pub max_message: usize,
    /// The same for each frame, of which a message has one or more. Default: no limit but the message's.
    pub max_frame: Option<usize>,
    /// A ping is sent when the peer has said nothing for so long, while the WebSocket is read. Default `None`: never.
    pub ping: Option<Duration>,
    /// How long the peer may take to answer a ping, by its pong or by anything else. Default 20 s.
    pub pong: Duration,
    /// How long the peer's close frame is awaited when ours is out, and by a client the server's end after it. Default `None`: the connection's [linger](crate::Options::linger). In a stop no longer than that and the stop's own.
    pub close: Option<Duration>,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        WebSocketOptions {
            max_message: 4 << 20,
            max_frame: None,
            ping: None,
            pong: Duration::from_secs(20),
            close: None,
        }
    }
}

impl WebSocketOptions {
    /// The defaults.
    pub fn new() -> Self {
        WebSocketOptions::default()
    }

    /// How many bytes a message that is received may have. Default 4 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How many bytes a frame that is received may have. Default: as many as a message.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = Some(bytes);
        self
    }

    /// Sends a ping after so long a silence of the peer's, and gives the connection up when nothing comes within `answer`. Default: no pings.
    pub fn ping(mut self, after: Duration, answer: Duration) -> Self {
        (self.ping, self.pong) = (Some(after), answer);
        self
    }

    /// How long the peer's close frame is awaited. Default: the connection's linger.
    pub fn close_timeout(mut self, within: Duration) -> Self {
        self.close = Some(within);
        self
    }
}
