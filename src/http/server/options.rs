//! What a server allows its clients.

use std::time::Duration;

use hyper::server::conn::http1::Builder;

#[cfg(feature = "http2")]
use crate::http::Http2Options;
use crate::http::Versions;

/// What a server allows its clients. How many there may be, and how long a handshake takes, is the listener's: [`Listen`](crate::Listen).
///
/// On HTTP/2, `keep_alive_timeout` is how long a connection may be without a request before it is told to go (GOAWAY), `head_timeout` how long its first bytes may take, and `keep_alive`, `max_headers`, `max_head` and
/// `half_close` say nothing: see [`Http2Options`]. A client that resets requests faster than they are begun is sent away by the HTTP library, with ENHANCE_YOUR_CALM: after 20 that were not begun yet, or 1024 that it made us reset.
///
/// ```
/// use std::time::Duration;
/// use exeunt::http::{Body, RequestBody, ServerOptions};
///
/// async fn hello(_: http::Request<RequestBody>) -> http::Response<Body> {
///     http::Response::new(Body::from("hello\n"))
/// }
///
/// let protocol = ServerOptions::new().keep_alive_timeout(Duration::from_secs(10)).half_close(true).serve(hello);
/// # let _ = protocol;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Whether a connection may bear more than one request. Default `true`.
    pub keep_alive: bool,
    /// How long a connection may wait for its next request before it is closed. It counts only while no request is under way. Default 75 s, which is nginx's.
    pub keep_alive_timeout: Duration,
    /// How long the head of a request may take from its first byte on, and how long a new connection may say nothing. A head that is late is answered with 408. Default 30 s.
    pub head_timeout: Duration,
    /// How many headers a request may have; more are answered with 431. Default `None`, which is hyper's 100; a number of your own costs an allocation a request.
    pub max_headers: Option<usize>,
    /// How many bytes the head of a request may have, at least 8 KiB; more are answered with 431. Default 64 KiB. Of what a client does not take or a handler does not read, a connection holds as much
    /// again, or 64 KiB if that is more, and one chunk of the handler's.
    pub max_head: usize,
    /// Whether a client that has ended its direction, by close_notify or by a FIN without TLS, still gets its response. Default `false`: it is taken for gone, and its handler is dropped. That is how a
    /// client that has given up is noticed, and browsers and libraries never end their direction first; `nc -N` and some scripts do.
    pub half_close: bool,
    /// Which versions of HTTP are spoken. Default [`Versions::Auto`]: what ALPN has chosen, which is HTTP/2 only if the listener's [`ServerTls`](crate::ServerTls) [offers](super::super::ALPN) it, and where it says nothing,
    /// what the client's first bytes are.
    pub versions: Versions,
    /// How HTTP/2 is spoken. Default [`Http2Options::server`].
    #[cfg(feature = "http2")]
    pub http2: Http2Options,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            keep_alive: true,
            keep_alive_timeout: Duration::from_secs(75),
            head_timeout: Duration::from_secs(30),
            max_headers: None,
            max_head: BUFFER,
            half_close: false,
            versions: Versions::default(),
            #[cfg(feature = "http2")]
            http2: Http2Options::server(),
        }
    }
}

/// What hyper buffers in each direction. Its own default of 400 KiB is much for each of ten thousand; this is four records of TLS.
const BUFFER: usize = 64 * 1024;

/// hyper accepts no smaller buffer.
const LEAST: usize = 8 * 1024;

impl ServerOptions {
    /// The defaults.
    pub fn new() -> Self {
        ServerOptions::default()
    }

    /// Whether a connection may bear more than one request. Default: it may.
    pub fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// How long a connection may wait for its next request. Default 75 s.
    pub fn keep_alive_timeout(mut self, within: Duration) -> Self {
        self.keep_alive_timeout = within;
        self
    }

    /// How long the head of a request may take. Default 30 s.
    pub fn head_timeout(mut self, within: Duration) -> Self {
        self.head_timeout = within;
        self
    }

    /// How many headers a request may have. Default 100.
    pub fn max_headers(mut self, most: usize) -> Self {
        self.max_headers = Some(most);
        self
    }

    /// How many bytes the head of a request may have. Default 64 KiB; less than 8 KiB is taken as that.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.max_head = bytes;
        self
    }

    /// Whether a client that has ended its direction still gets its response. Default: it does not.
    pub fn half_close(mut self, allowed: bool) -> Self {
        self.half_close = allowed;
        self
    }

    /// Which versions of HTTP are spoken. Default: HTTP/2 and HTTP/1.1.
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// How HTTP/2 is spoken.
    #[cfg(feature = "http2")]
    pub fn http2(mut self, options: Http2Options) -> Self {
        self.http2 = options;
        self
    }

    pub(super) fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        let head = self.max_head.max(LEAST);
        // The time that a head takes is ours to look at: hyper's clock runs on an idle connection, too, and it has no other for that.
        builder
            .keep_alive(self.keep_alive)
            .half_close(self.half_close)
            .header_read_timeout(None)
            .max_header_size(head)
            .max_buf_size(head.max(BUFFER));
        if let Some(most) = self.max_headers {
            builder.max_headers(most);
        }
        builder
    }
}
