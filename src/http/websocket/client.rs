//! A client asks for a WebSocket: RFC 6455, section 4.1.

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY},
    header::{SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use tungstenite::{
    handshake::{client::generate_key, derive_accept_key},
    protocol::Role,
};

use super::{WebSocket, WebSocketOptions, names};
use crate::http::{Error, RequestBuilder, Response, Session, UpgradeError};

impl Session {
    /// A WebSocket, by a URL that begins with `ws:` or `wss:`, or with `http:` or `https:` for the same, or is relative to the session's base. Its connection leaves the pool and stays the session's: see [`Response::upgrade`].
    pub fn websocket(&self, url: &str) -> WebSocketBuilder {
        let url = match url.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => format!("http:{rest}"),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => format!("https:{rest}"),
            _ => url.to_owned(),
        };
        WebSocketBuilder {
            request: self.get(&url).redirects(0).decode(false),
            protocols: Vec::new(),
            options: WebSocketOptions::default(),
        }
    }
}

/// A WebSocket that is put together, to be asked for.
///
/// Redirects are not followed, as in browsers; for that, and for all else that a request may say, there is [`request`](WebSocketBuilder::request).
#[derive(Debug)]
#[must_use = "nothing is sent before `connect`"]
pub struct WebSocketBuilder {
    request: RequestBuilder,
    protocols: Vec<String>,
    options: WebSocketOptions,
}

impl WebSocketBuilder {
    /// The subprotocols that are offered, the most wanted first. The server chooses one, or none: [`WebSocket::protocol`] says which.
    pub fn protocols(mut self, protocols: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// A header of the request; given twice, both are sent.
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName, Error: fmt::Display>,
        value: impl TryInto<HeaderValue, Error: fmt::Display>,
    ) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// What else the request says: authorization, TLS, deadlines, which end with the response's head.
    pub fn request(mut self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        self.request = change(self.request);
        self
    }

    /// Limits and deadlines.
    pub fn options(mut self, options: WebSocketOptions) -> Self {
        self.options = options;
        self
    }

    /// Asks for it. Dropping the future gives it up, and closes its connection.
    ///
    /// # Errors
    /// There was no response, or it refuses, or it is none that a WebSocket may begin with; then the connection is closed.
    pub async fn connect(self) -> Result<WebSocket, WebSocketConnectError> {
        let WebSocketBuilder { request, protocols, options } = self;
        let key = generate_key();
        let mut request = request
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, key.as_str());
        if !protocols.is_empty() {
            request = request.header(SEC_WEBSOCKET_PROTOCOL, protocols.join(", "));
        }
        let mut response = request.send().await.map_err(WebSocketConnectError::Request)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(WebSocketConnectError::Refused(Box::new(response)));
        }
        let protocol = agreed(response.headers(), &key, &protocols)
            .map_err(|words| WebSocketConnectError::Handshake(words.into()))?;
        let stream = response.upgrade().await.map_err(WebSocketConnectError::Upgrade)?;
        Ok(WebSocket::new(stream, Role::Client, protocol, options))
    }
}

/// Whether these are the headers of a server that has understood, and the subprotocol that it has chosen.
fn agreed(headers: &HeaderMap, key: &str, offered: &[String]) -> Result<Option<String>, &'static str> {
    if !names(headers, UPGRADE, "websocket") || !names(headers, CONNECTION, "upgrade") {
        return Err("it switched to something other than WebSocket");
    }
    if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|accept| *accept != *derive_accept_key(key.as_bytes())) {
        return Err("Sec-WebSocket-Accept does not answer our key");
    }
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err("it chose an extension, and none was offered");
    }
    let mut chosen = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let Some(protocol) = chosen.next() else { return Ok(None) };
    let protocol = offered.iter().find(|offered| protocol.as_bytes() == offered.as_bytes());
    match (protocol, chosen.next()) {
        (Some(protocol), None) => Ok(Some(protocol.clone())),
        _ => Err("it chose a subprotocol that was not offered"),
    }
}

/// Why there is no WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum WebSocketConnectError {
    /// There was no response.
    Request(Error),
    /// The peer answered with another status than 101. Its body may say why; until it is read or dropped, it holds the connection.
    Refused(Box<Response>),
    /// The peer's: it answered with 101 and with headers that are not a WebSocket's. In words.
    Handshake(String),
    /// The connection ended behind the response.
    Upgrade(UpgradeError),
}

impl fmt::Display for WebSocketConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebSocketConnectError::Request(error) => error.fmt(f),
            WebSocketConnectError::Refused(response) => {
                write!(f, "the server refused the WebSocket with {}", response.status())
            }
            WebSocketConnectError::Handshake(words) => write!(f, "the server's WebSocket handshake is wrong: {words}"),
            WebSocketConnectError::Upgrade(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WebSocketConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WebSocketConnectError::Request(error) => error.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the answer of RFC 6455, section 1.3.
    fn agrees(more: &[(&'static str, &'static str)]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in more {
            match *value {
                "" => drop(headers.remove(*name)),
                value => drop(headers.insert(*name, HeaderValue::from_static(value))),
            }
        }
        agreed(&headers, "dGhlIHNhbXBsZSBub25jZQ==", &["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn what_a_server_says_is_looked_at() {
        assert_eq!(agrees(&[]), Ok(None));
        assert_eq!(agrees(&[("sec-websocket-protocol", "b")]), Ok(Some("b".to_owned())));
        for wrong in [
            ("sec-websocket-protocol", "c"),
            ("sec-websocket-protocol", "a, b"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp="),
            ("sec-websocket-accept", ""),
            ("upgrade", "h2c"),
            ("connection", "close"),
        ] {
            assert!(agrees(&[wrong]).is_err(), "{wrong:?}");
        }
    }
}
