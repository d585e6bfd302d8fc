//! A server is asked for a WebSocket: RFC 6455, section 4.2.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use tungstenite::{handshake::derive_accept_key, protocol::Role};

use super::{WebSocket, WebSocketOptions, names};
use crate::http::{Body, UpgradeError, Upgrading, upgrade};

/// A request for a WebSocket, to be accepted in a handler, or refused by any other response.
///
/// Browsers let every page ask every server, with the user's cookies: where those matter, look at the request's `Origin` first (RFC 6455, section 10.2).
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>, tls: exeunt::ServerTls) -> Result<(), Box<dyn std::error::Error>> {
/// use ::http::{Request, Response};
/// use exeunt::{Listen, http::{self, Body, RequestBody, websocket::WebSocketUpgrade}};
/// use futures_util::{SinkExt, StreamExt};
///
/// async fn echo(mut request: Request<RequestBody>) -> Response<Body> {
///     let asked = match WebSocketUpgrade::of(&mut request) {
///         Ok(asked) => asked.protocols(["echo.v2", "echo.v1"]),
///         Err(not) => return not.response(),
///     };
///     let (response, accepting) = asked.accept();
///     actix::spawn(async move {
///         let Ok(mut socket) = accepting.await else { return };
///         while let Some(Ok(message)) = socket.next().await {
///             if socket.send(message).await.is_err() {
///                 break;
///             }
///         }
///         println!("{}", socket.closed().await);
///     });
///     response
/// }
///
/// supervisor.send(Listen::on(([127, 0, 0, 1], 8443).into(), &tls, http::serve(echo))).await??;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is answered before `accept`"]
pub struct WebSocketUpgrade {
    upgrading: Upgrading,
    accept: String,
    offered: Vec<String>,
    protocol: Option<String>,
    options: WebSocketOptions,
}

impl WebSocketUpgrade {
    /// Takes from a request what a WebSocket needs.
    ///
    /// # Errors
    /// It asks for none, or not as it should; that has a response.
    pub fn of<B>(request: &mut Request<B>) -> Result<Self, NotWebSocket> {
        let headers = request.headers();
        if !names(headers, UPGRADE, "websocket") || !names(headers, CONNECTION, "upgrade") {
            return Err(NotWebSocket(Wrong::Upgrade));
        }
        if request.method() != Method::GET || request.version() != Version::HTTP_11 {
            return Err(NotWebSocket(Wrong::Method));
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(NotWebSocket(Wrong::Version));
        }
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
        let (Some(key), None) = (keys.next(), keys.next()) else { return Err(NotWebSocket(Wrong::Key)) };
        if BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
            let accept = derive_accept_key(key.as_bytes());
            let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
            let offered = offered.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty());
            let offered = offered.map(str::to_owned).collect();
            let options = WebSocketOptions::default();
            return Ok(WebSocketUpgrade { upgrading: upgrade(request), accept, offered, protocol: None, options });
        }
        Err(NotWebSocket(Wrong::Key))
    }

    /// The subprotocols that the client offers, the most wanted first.
    pub fn offered(&self) -> impl Iterator<Item = &str> {
        self.offered.iter().map(String::as_str)
    }

    /// The subprotocols that are spoken here, the most wanted first: the first that is offered is chosen. Where none is, none is, and the client may leave; look at [`protocol`](WebSocketUpgrade::protocol) to refuse it.
    pub fn protocols(mut self, spoken: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.protocol = spoken.into_iter().map(Into::into).find(|spoken| self.offered.contains(spoken));
        self
    }

    /// The subprotocol that was chosen.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Limits and deadlines.
    pub fn options(mut self, options: WebSocketOptions) -> Self {
        self.options = options;
        self
    }

    /// The response, to be returned by the handler, which may add headers to it; and the WebSocket, which is there when it was written, so await it in a task of its own. Where nobody does, the connection is closed.
    pub fn accept(self) -> (Response<Body>, Accepting) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // Base64, and a part of a header that has come: both are values.
        for (name, value) in
            [(SEC_WEBSOCKET_ACCEPT, Some(&self.accept)), (SEC_WEBSOCKET_PROTOCOL, self.protocol.as_ref())]
        {
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
        let WebSocketUpgrade { upgrading, protocol, options, .. } = self;
        (response, Accepting { upgrading, given: Some((protocol, options)) })
    }
}

/// The wait for a WebSocket that was accepted.
#[derive(Debug)]
#[must_use = "the WebSocket is what it answers with"]
pub struct Accepting {
    upgrading: Upgrading,
    given: Option<(Option<String>, WebSocketOptions)>,
}

impl Future for Accepting {
    type Output = Result<WebSocket, UpgradeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stream = ready!(Pin::new(&mut self.upgrading).poll(cx))?;
        let (protocol, options) = self.given.take().unwrap_or_default();
        Poll::Ready(Ok(WebSocket::new(stream, Role::Server, protocol, options)))
    }
}

/// A request does not ask for a WebSocket as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotWebSocket(Wrong);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Upgrade,
    Method,
    Version,
    Key,
}

impl NotWebSocket {
    /// The status of its response: 426 where an upgrade, or another version of it, is wanted, 400 for what is malformed.
    pub fn status(&self) -> StatusCode {
        match self.0 {
            Wrong::Upgrade | Wrong::Version => StatusCode::UPGRADE_REQUIRED,
            Wrong::Method | Wrong::Key => StatusCode::BAD_REQUEST,
        }
    }

    /// A response that says so, and which version is spoken here (RFC 6455, section 4.4).
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}

impl fmt::Display for NotWebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Wrong::Upgrade => "this is a WebSocket: ask for an upgrade",
            Wrong::Method => "a WebSocket is asked for by GET and HTTP/1.1",
            Wrong::Version => "this version of WebSocket is not spoken here: ask for version 13",
            Wrong::Key => "Sec-WebSocket-Key is missing or malformed",
        })
    }
}

impl std::error::Error for NotWebSocket {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 6455, section 1.2.
    fn asked(change: impl FnOnce(&mut Request<()>)) -> Result<WebSocketUpgrade, NotWebSocket> {
        let mut request = Request::get("/chat")
            .header("host", "server.example.com")
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "chat, superchat")
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        change(&mut request);
        WebSocketUpgrade::of(&mut request)
    }

    #[test]
    fn what_is_asked_is_accepted() {
        let asked = asked(|_| {}).unwrap().protocols(["superchat", "chat"]);
        assert_eq!(asked.offered().collect::<Vec<_>>(), ["chat", "superchat"]);
        let (response, _) = asked.accept();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["sec-websocket-protocol"], "superchat");
    }

    #[test]
    fn no_subprotocol_is_chosen_that_was_not_offered() {
        let (response, _) = asked(|_| {}).unwrap().protocols(["other"]).accept();
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
    }

    #[test]
    fn what_is_asked_wrongly_is_told() {
        let removed = |name: &'static str| asked(|request| drop(request.headers_mut().remove(name)));
        let set = |name: &'static str, value| {
            asked(|request| drop(request.headers_mut().insert(name, HeaderValue::from_static(value))))
        };
        for (result, status) in [
            (removed("upgrade"), 426),
            (removed("connection"), 426),
            (set("sec-websocket-version", "8"), 426),
            (removed("sec-websocket-version"), 426),
            (removed("sec-websocket-key"), 400),
            (set("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"), 400),
            (set("sec-websocket-key", "c2hvcnQ="), 400),
            (asked(|request| *request.method_mut() = Method::POST), 400),
            (asked(|request| *request.version_mut() = Version::HTTP_10), 400),
        ] {
            let response = result.unwrap_err().response();
            assert_eq!(
                (response.status().as_u16(), &response.headers()["sec-websocket-version"]),
                (status, &HeaderValue::from_static("13"))
            );
        }
    }
}
