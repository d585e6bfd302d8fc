//! A WebSocket as a stream and a sink of messages.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, Sink, Stream, future::BoxFuture, stream::FusedStream};
use tokio::time::Instant;
use tungstenite::protocol::Role;

use super::{
    CloseCode, Closed, Message, WebSocketError, WebSocketOptions,
    alive::{Alarm, KeepAlive},
    frames::{Frames, Incoming},
    message::Farewell,
};
use crate::{
    connection::{AnyHandle, SupervisedStream, timer::Timer},
    fate::{ConnectionId, Lost, Peer},
};

/// A WebSocket: a stream of the messages that come and a sink of those that go, over a connection that stays the supervisor's.
///
/// * **Reading** answers pings, sends those of the [options](WebSocketOptions), notices a drain and parts with the peer: so read, also when nothing is expected. An error comes once; then, as after a close, the stream has ended.
/// * **Writing** waits while as much as the connection's [high-water mark](crate::Options::write_high) allows is to be written. A `flush` is done when the operating system has it.
/// * **A drain** says [`GOING_AWAY`](CloseCode::GOING_AWAY); what the peer still sends before its own close frame is read as before.
/// * **The end**: [`close`](WebSocket::close) parts and answers with [`Closed`]; [`closed`](WebSocket::closed) waits for it without asking. Dropped, it says `GOING_AWAY` and waits for nothing. Then the connection closes by close_notify, both ways.
///
/// It is `Send`; `futures_util::StreamExt::split` makes two halves of it. For an actor, [`attach`](WebSocket::attach) it.
///
/// ```no_run
/// # async fn example(session: exeunt::http::Session) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::http::websocket::{CloseCode, Message};
/// use futures_util::{SinkExt, StreamExt};
///
/// let mut socket = session.websocket("wss://localhost:8443/chat").protocols(["chat.v2", "chat.v1"]).connect().await?;
/// println!("{:?}", socket.protocol());
/// socket.send(Message::from("hello")).await?;
/// while let Some(message) = socket.next().await {
///     println!("{:?}", message?);
/// }
/// println!("{}", socket.close(CloseCode::NORMAL, "").await);
/// # Ok(())
/// # }
/// ```
pub struct WebSocket {
    /// `None`: the connection is let go.
    frames: Option<Frames>,
    state: State,
    role: Role,
    handle: AnyHandle,
    protocol: Option<String>,
    options: WebSocketOptions,
    /// What the peer's close frame said, and whether we have sent one.
    theirs: Option<Farewell>,
    ours: bool,
    keep_alive: Option<KeepAlive>,
    timer: Timer,
    /// Until the drain has begun.
    draining: Option<BoxFuture<'static, Option<Instant>>>,
    lost: BoxFuture<'static, Lost>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A close frame is out, of either side, and the rest is awaited for so long.
    Closing(Option<Instant>),
    Over,
}

type Next = Option<Result<Message, WebSocketError>>;

impl WebSocket {
    /// A client's, over a stream on which the handshake is done: for handshakes of one's own. Else there is [`Session::websocket`](crate::http::Session::websocket).
    pub fn client(stream: SupervisedStream, options: WebSocketOptions) -> Self {
        WebSocket::new(stream, Role::Client, None, options)
    }

    /// A server's, over a stream on which the handshake is done: for handshakes of one's own. Else there is [`WebSocketUpgrade`](super::WebSocketUpgrade).
    pub fn server(stream: SupervisedStream, options: WebSocketOptions) -> Self {
        WebSocket::new(stream, Role::Server, None, options)
    }

    pub(super) fn new(
        stream: SupervisedStream,
        role: Role,
        protocol: Option<String>,
        options: WebSocketOptions,
    ) -> Self {
        WebSocket {
            state: State::Open,
            role,
            handle: stream.handle().clone(),
            protocol,
            theirs: None,
            ours: false,
            keep_alive: options.ping.map(|after| KeepAlive::new(after, options.pong)),
            timer: Timer::default(),
            draining: Some(stream.draining().boxed()),
            lost: stream.closed().boxed(),
            frames: Some(Frames::new(stream, role, &options)),
            options,
        }
    }

    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.handle.id()
    }

    /// To whom.
    pub fn peer(&self) -> Peer {
        self.handle.peer()
    }

    /// The subprotocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Whether nothing more can be sent: a close frame has gone or come.
    pub fn is_closing(&self) -> bool {
        self.state != State::Open
    }

    /// Says this, as far as it was not said before, and waits for the peer's close frame, and then for the end of the connection. Messages that still come are thrown away; to read them,
    /// [`begin_close`](WebSocket::begin_close) and read on. A code that [may not be sent](CloseCode::is_sendable) is left out; of a reason there is room for 123 bytes.
    pub async fn close(mut self, code: CloseCode, reason: &str) -> Closed {
        self.begin_close(code, reason);
        self.closed().await
    }

    /// Says this, unless a close has begun; messages that still come may be read, until the peer's close frame has come or the time for it is over.
    pub fn begin_close(&mut self, code: CloseCode, reason: &str) {
        self.part(Farewell::new(code, reason));
    }

    /// Waits for the end, without asking for it. Messages that still come are thrown away.
    pub async fn closed(mut self) -> Closed {
        while futures_util::StreamExt::next(&mut self).await.is_some() {}
        let lost = (&mut self.lost).await;
        Closed::new(self.handle.id(), self.theirs.take(), self.ours, lost)
    }

    /// Sends a close frame if none has gone or come, and begins the wait for the rest.
    fn part(&mut self, farewell: Farewell) {
        let Some(frames) = &mut self.frames else { return };
        if self.state != State::Open {
            return;
        }
        self.ours = true;
        let within = self.options.close.unwrap_or_else(|| frames.stream().linger());
        self.state = State::Closing(Instant::now().checked_add(within));
        // If it fails, reading says so.
        let _ = frames.close(farewell);
    }

    fn notice_drain(&mut self, cx: &mut Context<'_>) {
        let Some(draining) = &mut self.draining else { return };
        let Poll::Ready(draining) = draining.as_mut().poll(cx) else { return };
        self.draining = None;
        let (Some(frames), true) = (&self.frames, draining.is_some()) else { return };
        let latest = Instant::now().checked_add(frames.stream().linger());
        self.part(Farewell::new(CloseCode::GOING_AWAY, ""));
        if let State::Closing(until) = &mut self.state {
            // No longer than the stop would wait for a close_notify.
            *until = (*until).into_iter().chain(latest).min();
        }
    }

    /// The next message, or the end.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            self.notice_drain(cx);
            let Some(frames) = &mut self.frames else { return Poll::Ready(None) };
            let incoming = match frames.poll_read(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Poll::Ready(self.fail(WebSocketError::of_library(error))),
                Poll::Ready(Ok(incoming)) => incoming,
            };
            if let Some(keep_alive) = &mut self.keep_alive {
                keep_alive.heard(Instant::now());
            }
            match incoming {
                Incoming::Message(message) => return Poll::Ready(Some(Ok(message))),
                Incoming::Alive => {}
                Incoming::Close(farewell) => self.answered(farewell),
                Incoming::End => return Poll::Ready(self.over(None)),
            }
        }
        if let Poll::Ready(next) = self.poll_rest(cx) {
            return Poll::Ready(next);
        }
        match self.poll_alarm(cx) {
            Some(error) => Poll::Ready(self.fail(error)),
            None => Poll::Pending,
        }
    }

    /// The peer's close frame: the library has answered it, if it was the first.
    fn answered(&mut self, farewell: Farewell) {
        self.theirs = Some(farewell);
        self.ours = true;
        if self.state == State::Open {
            let within = self.options.close.or_else(|| Some(self.frames.as_ref()?.stream().linger()));
            self.state = State::Closing(within.and_then(|within| Instant::now().checked_add(within)));
        }
    }

    /// What is to be done beside reading. Ready: the end.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.notice_drain(cx);
        let Some(frames) = &mut self.frames else { return Poll::Ready(None) };
        // If it fails, reading says so, and says what came before.
        let accepted = frames.try_flush().is_ready();
        match self.state {
            State::Open => {
                frames.rest();
                Poll::Pending
            }
            // Both close frames are out, and it is the server that ends the connection (RFC 6455, section 7.1.1).
            State::Closing(_) if accepted && self.theirs.is_some() && self.role == Role::Server => {
                Poll::Ready(self.over(None))
            }
            // The peer does not answer, or does not end what it should.
            State::Closing(until) if self.timer.poll(cx, until) => Poll::Ready(self.over(None)),
            _ => Poll::Pending,
        }
    }

    /// Looks whether it is time for a ping, or too late for its answer.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Option<WebSocketError> {
        while let (State::Open, Some(keep_alive), Some(frames)) = (self.state, &mut self.keep_alive, &mut self.frames) {
            if !self.timer.poll(cx, keep_alive.deadline()) {
                break;
            }
            match keep_alive.passed(Instant::now()) {
                Alarm::Ping => {
                    let ping = tungstenite::Message::Ping(Default::default());
                    let _ = frames.send(ping);
                }
                Alarm::Silent(within) => return Some(WebSocketError::PingUnanswered(within)),
            }
        }
        None
    }

    /// Tells the peer what it did, as far as there is room, and lets the connection go.
    fn fail(&mut self, error: WebSocketError) -> Next {
        let farewell = error.farewell().filter(|_| self.state == State::Open);
        if let (Some(farewell), Some(frames)) = (farewell, &mut self.frames) {
            self.ours = true;
            let _ = frames.close(farewell);
        }
        // What comes after both close frames is not the messages' any more.
        let told = !(self.theirs.is_some() && self.ours);
        self.over(told.then_some(error))
    }

    fn over(&mut self, error: Option<WebSocketError>) -> Next {
        self.state = State::Over;
        self.frames = None;
        error.map(Err)
    }

    fn open_frames(&mut self) -> Result<&mut Frames, WebSocketError> {
        match &mut self.frames {
            Some(frames) if self.state == State::Open => Ok(frames),
            _ => Err(WebSocketError::Closing),
        }
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, WebSocketError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        self.poll_message(cx)
    }
}

impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.frames.is_none()
    }
}

impl Sink<Message> for WebSocket {
    type Error = WebSocketError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.open_frames()?.poll_accepted(cx).map_err(WebSocketError::of_library)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), WebSocketError> {
        self.open_frames()?.send(message.into_library()).map_err(WebSocketError::of_library)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        match &mut self.frames {
            Some(frames) => frames.poll_flushed(cx).map_err(WebSocketError::of_library),
            None => Poll::Ready(Err(WebSocketError::Closing)),
        }
    }

    /// Says that this is all, by [`NORMAL`](CloseCode::NORMAL); reading goes on, and shows when the peer has answered.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.begin_close(CloseCode::NORMAL, "");
        ready!(match &mut self.frames {
            Some(frames) => frames.poll_flushed(cx).map_err(WebSocketError::of_library),
            None => Poll::Ready(Ok(())),
        })?;
        Poll::Ready(Ok(()))
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.begin_close(CloseCode::GOING_AWAY, "");
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("id", &self.id())
            .field("peer", &self.peer())
            .field("role", &self.role)
            .field("protocol", &self.protocol)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
