//! A WebSocket that an actor owns by messages.
//!
//! ```text
//!   SocketHandle -- at most QUEUE messages --> Driver (a task) <--> WebSocket
//!   the owner    <-- one message at a time ---/
//! ```

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use actix::{Actor, Addr, Handler, MailboxError, Message as ActixMessage, dev::ToEnvelope};
use futures_util::{FutureExt, SinkExt, StreamExt, future::BoxFuture};
use tokio::sync::{mpsc, oneshot};

use super::{CloseCode, Closed, Message, WebSocket, WebSocketError};
use crate::fate::{ConnectionId, Peer};

/// How many messages may wait in a handle for the one before them to be accepted. Chosen arbitrarily: a few, so that a burst need not wait for its sender.
const QUEUE: usize = 16;

/// The WebSocket is open: the first message that an owner gets of it.
#[derive(Clone, Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct Opened {
    /// Which connection.
    pub id: ConnectionId,
    /// To whom.
    pub peer: Peer,
    /// The subprotocol that was agreed on.
    pub protocol: Option<String>,
    /// How to send and to close.
    pub socket: SocketHandle,
}

/// A message has come. The next is read when the owner's handler is done with it; one that returns a `ResponseFuture` or a `ResponseActFuture` is done when the future is.
#[derive(Clone, Debug, PartialEq, Eq, ActixMessage)]
#[rtype(result = "()")]
pub struct Received {
    /// Which connection.
    pub id: ConnectionId,
    /// The message.
    pub message: Message,
}

impl WebSocket {
    /// Gives the WebSocket to an actor, which is sent [`Opened`], then a [`Received`] for each message, one at a time, then exactly one [`Closed`].
    ///
    /// A task of this thread drives it: it sends what the handles are given, answers pings between two messages, and parts with the peer when the last handle is dropped ([`NORMAL`](CloseCode::NORMAL)), when a drain
    /// begins or the owner is gone ([`GOING_AWAY`](CloseCode::GOING_AWAY)). To be called inside an actix system. Where its thread is torn down before the end, there is no `Closed`; the ledger has the connection's [`Lost`](crate::Lost) all the same.
    ///
    /// ```no_run
    /// # async fn example(session: exeunt::http::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// use actix::prelude::*;
    /// use exeunt::http::websocket::{Closed, Opened, Received, SocketHandle};
    ///
    /// /// Sends everything back.
    /// #[derive(Default)]
    /// struct Echo(Option<SocketHandle>);
    ///
    /// impl Actor for Echo {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// impl Handler<Opened> for Echo {
    ///     type Result = ();
    ///     fn handle(&mut self, opened: Opened, _: &mut Context<Self>) {
    ///         self.0 = Some(opened.socket);
    ///     }
    /// }
    ///
    /// impl Handler<Received> for Echo {
    ///     type Result = ResponseFuture<()>;
    ///     fn handle(&mut self, received: Received, _: &mut Context<Self>) -> Self::Result {
    ///         let socket = self.0.clone();
    ///         Box::pin(async move {
    ///             if let Some(socket) = socket {
    ///                 let _ = socket.send(received.message).await; // so a peer that does not read is not read
    ///             }
    ///         })
    ///     }
    /// }
    ///
    /// impl Handler<Closed> for Echo {
    ///     type Result = ();
    ///     fn handle(&mut self, closed: Closed, context: &mut Context<Self>) {
    ///         println!("{closed}");
    ///         context.stop();
    ///     }
    /// }
    ///
    /// session.websocket("wss://localhost:8443/").connect().await?.attach(Echo::default().start());
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach<A>(self, owner: Addr<A>)
    where
        A: Actor + Handler<Opened> + Handler<Received> + Handler<Closed>,
        A::Context: ToEnvelope<A, Opened> + ToEnvelope<A, Received> + ToEnvelope<A, Closed>,
    {
        let (sender, orders) = mpsc::channel(QUEUE);
        let opened = Opened {
            id: self.id(),
            peer: self.peer(),
            protocol: self.protocol().map(str::to_owned),
            socket: SocketHandle { id: self.id(), orders: sender },
        };
        let id = self.id();
        let owner = Box::new(owner);
        // The first of the owner's messages to be awaited, so that nothing is read before it has a handle.
        let handling = Some(owner.tell_opened(opened));
        let mut driver = Driver { socket: self, orders, waiting: None, handling, owner };
        actix_rt::spawn(async move {
            (&mut driver).await;
            let Driver { socket, owner, handling, .. } = driver;
            let closed = socket.closed().await;
            if let Some(handling) = handling {
                let _ = handling.await;
            }
            if owner.tell_closed(closed).await.is_err() {
                tracing::debug!(id = id.get(), "the owner of a WebSocket did not live to see its end");
            }
        });
    }
}

/// One object for three kinds of message.
trait Own {
    fn is_alive(&self) -> bool;
    fn tell_opened(&self, message: Opened) -> Handled;
    fn tell_received(&self, message: Received) -> Handled;
    fn tell_closed(&self, message: Closed) -> Handled;
}

type Handled = BoxFuture<'static, Result<(), MailboxError>>;

impl<A> Own for Addr<A>
where
    A: Actor + Handler<Opened> + Handler<Received> + Handler<Closed>,
    A::Context: ToEnvelope<A, Opened> + ToEnvelope<A, Received> + ToEnvelope<A, Closed>,
{
    fn is_alive(&self) -> bool {
        self.connected()
    }
    // From a clone each, for the reason that the owner of `Events` has: an address that has filled a mailbox refuses the next message.
    fn tell_opened(&self, message: Opened) -> Handled {
        self.clone().send(message).boxed()
    }
    fn tell_received(&self, message: Received) -> Handled {
        self.clone().send(message).boxed()
    }
    fn tell_closed(&self, message: Closed) -> Handled {
        self.clone().send(message).boxed()
    }
}

/// What a handle wants.
enum Order {
    Send(Message, Option<oneshot::Sender<()>>),
    Close(CloseCode, String),
}

/// The task between a WebSocket, its handles and its owner. It is done when the WebSocket is.
struct Driver {
    socket: WebSocket,
    orders: mpsc::Receiver<Order>,
    /// What there is no room for.
    waiting: Option<(Message, Option<oneshot::Sender<()>>)>,
    /// What the owner is busy with.
    handling: Option<Handled>,
    owner: Box<dyn Own>,
}

impl Driver {
    /// Sends what there is room for. Whether anything was sent.
    fn send(&mut self, cx: &mut Context<'_>) -> bool {
        let mut sent = false;
        loop {
            if self.waiting.is_none() {
                match self.orders.poll_recv(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Some(Order::Send(message, accepted))) => self.waiting = Some((message, accepted)),
                    Poll::Ready(Some(Order::Close(code, reason))) => self.socket.begin_close(code, &reason),
                    // The last handle is gone.
                    Poll::Ready(None) => {
                        self.socket.begin_close(CloseCode::NORMAL, "");
                        break;
                    }
                }
            }
            if self.socket.is_closing() {
                // Whoever waits to send learns that it is too late.
                self.waiting = None;
                self.orders.close();
                continue;
            }
            match self.socket.poll_ready_unpin(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(_)) => self.waiting = None,
                Poll::Ready(Ok(())) => {
                    let Some((message, accepted)) = self.waiting.take() else { continue };
                    if self.socket.start_send_unpin(message).is_ok() {
                        accepted.map(|accepted| accepted.send(()));
                        sent = true;
                    }
                }
            }
        }
        sent
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let mut moved = this.send(cx);
            if let Some(handling) = &mut this.handling
                && let Poll::Ready(handled) = handling.as_mut().poll(cx)
            {
                this.handling = None;
                moved = true;
                // An owner that lives and has dropped its answer is done with the message all the same.
                if handled.is_err() && !this.owner.is_alive() {
                    this.socket.begin_close(CloseCode::GOING_AWAY, "");
                }
            }
            let next = match this.handling {
                Some(_) => this.socket.poll_rest(cx),
                None => this.socket.poll_next_unpin(cx),
            };
            match next {
                Poll::Ready(Some(Ok(message))) => {
                    let id = this.socket.id();
                    this.handling = Some(this.owner.tell_received(Received { id, message }));
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(id = this.socket.id().get(), %error, "a WebSocket failed");
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending if !moved => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

/// Sends over a WebSocket that an actor owns, and closes it. When the last one is dropped, the WebSocket is closed with [`NORMAL`](CloseCode::NORMAL).
#[derive(Clone)]
pub struct SocketHandle {
    id: ConnectionId,
    orders: mpsc::Sender<Order>,
}

impl SocketHandle {
    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Sends a message: answers when the connection has accepted it, which waits while its high-water mark is reached. Accepted, it is written before any close, or counted as unsent by the connection's [`Lost`](crate::Lost).
    ///
    /// # Errors
    /// The close has begun: it was not accepted.
    pub fn send(&self, message: Message) -> impl Future<Output = Result<(), WebSocketError>> + Send + use<> {
        let orders = self.orders.clone();
        async move {
            let (sender, accepted) = oneshot::channel();
            let refused = |_| WebSocketError::Closing;
            orders.send(Order::Send(message, Some(sender))).await.map_err(refused)?;
            drop(orders);
            accepted.await.map_err(|_| WebSocketError::Closing)
        }
    }

    /// Sends a message if fewer than 16 wait, and waits for nothing. One that is still waiting when the close begins is not sent.
    ///
    /// # Errors
    /// The message, when there is no room for it or the close has begun.
    pub fn try_send(&self, message: Message) -> Result<(), Message> {
        match self.orders.try_reserve() {
            Ok(room) => {
                room.send(Order::Send(message, None));
                Ok(())
            }
            Err(_) => Err(message),
        }
    }

    /// Closes with this code and reason, behind what was given to be sent; the owner is told of the end by [`Closed`]. A code that [may not be sent](CloseCode::is_sendable) is left out. Answers when the order is given.
    pub fn close(&self, code: CloseCode, reason: &str) -> impl Future<Output = ()> + Send + use<> {
        let (orders, reason) = (self.orders.clone(), reason.to_owned());
        async move {
            // It has ended: there is nothing to be closed.
            let _ = orders.send(Order::Close(code, reason)).await;
        }
    }
}

impl fmt::Debug for SocketHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketHandle").field("id", &self.id).field("closed", &self.orders.is_closed()).finish()
    }
}
