//! A WebSocket that an actor owns by messages.

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, ResponseFuture};
use exeunt::{
    Reason, Verdict,
    http::websocket::{CloseCode, Closed, Message, Opened, Received, SocketHandle, WebSocketError, WebSocketOptions},
};
use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc};

use super::{CLOSE, PING, PONG, Peer, Play, ROLES, TEXT, stop};
use crate::{
    over_both,
    stage::{Over, PIPE, SECOND, assert_adds_up, settled},
};

over_both!(
    an_owner_is_told_in_order_and_once
    the_next_message_waits_for_the_owner
    a_handle_waits_for_room
    the_last_handle_closes
    an_owner_that_is_gone_goes_away
    a_drain_goes_away_while_the_owner_is_busy
    a_cut_is_told_as_abnormal
    what_waits_behind_a_close_is_refused
);

#[derive(Debug)]
enum Seen {
    Opened(Opened),
    Received(Received),
    Closed(Closed),
}

/// Tells what it sees, and is done with a message when there is a permit.
struct Owner {
    tell: mpsc::UnboundedSender<Seen>,
    permits: Arc<Semaphore>,
}

impl Actor for Owner {
    type Context = Context<Self>;
}

impl Handler<Opened> for Owner {
    type Result = ();
    fn handle(&mut self, opened: Opened, _: &mut Context<Self>) {
        let _ = self.tell.send(Seen::Opened(opened));
    }
}

impl Handler<Received> for Owner {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, received: Received, _: &mut Context<Self>) -> Self::Result {
        let _ = self.tell.send(Seen::Received(received));
        let permits = self.permits.clone();
        Box::pin(async move { permits.acquire().await.unwrap().forget() })
    }
}

impl Handler<Closed> for Owner {
    type Result = ();
    fn handle(&mut self, closed: Closed, _: &mut Context<Self>) {
        let _ = self.tell.send(Seen::Closed(closed));
    }
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Leave;

impl Handler<Leave> for Owner {
    type Result = ();
    fn handle(&mut self, _: Leave, context: &mut Context<Self>) {
        actix::ActorContext::stop(context);
        let _ = context.address();
    }
}

struct Scene {
    supervisor: Addr<exeunt::Supervisor>,
    books: exeunt::Books,
    peer: Peer,
    owner: Addr<Owner>,
    permits: Arc<Semaphore>,
    script: mpsc::UnboundedReceiver<Seen>,
}

impl Scene {
    /// The WebSocket, its owner, and the first that it was told.
    async fn open(over: Over, role: exeunt::Role) -> (Self, SocketHandle) {
        let Play { supervisor, books, socket, peer } = Play::with(over, role, WebSocketOptions::new()).await;
        let (tell, mut script) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        let owner = Owner { tell, permits: permits.clone() }.start();
        let id = socket.id();
        socket.attach(owner.clone());
        let Some(Seen::Opened(opened)) = script.recv().await else { panic!("Opened is the first") };
        assert_eq!((opened.id, opened.protocol, opened.socket.id()), (id, None, id));
        (Scene { supervisor, books, peer, owner, permits, script }, opened.socket)
    }

    async fn received(&mut self) -> Message {
        match self.script.recv().await {
            Some(Seen::Received(received)) => received.message,
            other => panic!("a message was to come, not {other:?}"),
        }
    }

    /// The end, once, and the stop.
    async fn end(mut self) -> Closed {
        let closed = match self.script.recv().await {
            Some(Seen::Closed(closed)) => closed,
            other => panic!("the end was to come, not {other:?}"),
        };
        let ledger = stop(&self.supervisor).await;
        assert_adds_up(&ledger, &self.books);
        drop(self.owner);
        assert!(self.script.recv().await.is_none(), "something was told after the end");
        closed
    }
}

/// Laws 1 and 2.
async fn an_owner_is_told_in_order_and_once(over: Over) {
    for role in ROLES {
        let (mut scene, socket) = Scene::open(over, role).await;
        scene.permits.add_permits(3);
        for text in ["one", "two", "three"] {
            scene.peer.say(TEXT, text).await;
        }
        for text in ["one", "two", "three"] {
            assert_eq!(scene.received().await, text.into());
        }
        socket.send("answer".into()).await.unwrap();
        socket.try_send("another".into()).unwrap();
        assert_eq!(scene.peer.hear().await.1, b"answer");
        assert_eq!(scene.peer.hear().await.1, b"another");
        socket.close(CloseCode::new(4000), "enough").await;
        assert_eq!(scene.peer.hear_close().await, (CloseCode::new(4000), "enough".to_owned()));
        scene.peer.say_close(4001, "all right").await;
        scene.peer.leave().await;
        let closed = scene.end().await;
        assert_eq!((closed.code, closed.reason.as_str(), closed.clean), (CloseCode::new(4001), "all right", true));
        assert_eq!(socket.send("late".into()).await.unwrap_err(), WebSocketError::Closing);
        assert_eq!(socket.try_send("late".into()).unwrap_err(), "late".into());
    }
}

/// Law 8: one message is with the owner, and of the rest no more is taken than the marks allow.
async fn the_next_message_waits_for_the_owner(over: Over) {
    for role in ROLES {
        let (mut scene, socket) = Scene::open(over, role).await;
        let mut said = 0_u8;
        while tokio::time::timeout(SECOND, scene.peer.say(TEXT, vec![b'a' + said; PIPE])).await.is_ok() {
            said += 1;
            assert!(said < 50, "it takes what its owner has not");
        }
        assert!(said >= 1);
        scene.received().await;
        assert!(scene.script.recv().now_or_never().is_none(), "the owner is not done with the first");
        // While it is busy, what it sends goes out.
        socket.send("busy".into()).await.unwrap();
        assert_eq!(scene.peer.hear().await.1, b"busy");
        scene.permits.add_permits(100);
        for n in 1..said {
            assert_eq!(scene.received().await.as_bytes(), vec![b'a' + n; PIPE]);
        }
        drop((socket, scene.peer));
        let Some(Seen::Closed(_)) = scene.script.recv().await else { panic!("the end was to come") };
        let ledger = stop(&scene.supervisor).await;
        assert_adds_up(&ledger, &scene.books);
    }
}

/// Law 8.
async fn a_handle_waits_for_room(over: Over) {
    for role in ROLES {
        let (mut scene, socket) = Scene::open(over, role).await;
        let mut accepted = 0;
        let waiting = loop {
            let mut sending = Box::pin(socket.send(vec![7; 50_000].into()));
            match tokio::time::timeout(SECOND, &mut sending).await {
                Ok(sent) => sent.unwrap(),
                Err(_) => break sending,
            }
            accepted += 1;
            assert!(accepted < 50, "it accepts what its peer does not read");
        };
        let queued = (0..100).take_while(|_| socket.try_send("queued".into()).is_ok()).count();
        assert!((1..=16).contains(&queued), "{queued}");
        let (sent, ()) = tokio::join!(waiting, async {
            for _ in 0..=accepted {
                assert_eq!(scene.peer.hear().await.1.len(), 50_000);
            }
            for _ in 0..queued {
                assert_eq!(scene.peer.hear().await.1, b"queued");
            }
        });
        sent.unwrap();
        socket.close(CloseCode::NORMAL, "").await;
        scene.peer.hear_close().await;
        scene.peer.say(CLOSE, "").await;
        scene.peer.leave().await;
        assert!(scene.end().await.clean);
    }
}

/// Completion is ownership.
async fn the_last_handle_closes(over: Over) {
    for role in ROLES {
        let (mut scene, socket) = Scene::open(over, role).await;
        let another = socket.clone();
        drop(socket);
        scene.peer.say(PING, "").await;
        assert_eq!(scene.peer.hear().await.0, PONG);
        another.try_send("last words".into()).unwrap();
        drop(another);
        assert_eq!(scene.peer.hear().await.1, b"last words");
        assert_eq!(scene.peer.hear_close().await.0, CloseCode::NORMAL);
        scene.peer.say_close(1000, "").await;
        scene.peer.leave().await;
        assert!(scene.end().await.clean);
    }
}

async fn an_owner_that_is_gone_goes_away(over: Over) {
    for role in ROLES {
        let (mut scene, socket) = Scene::open(over, role).await;
        scene.owner.send(Leave).await.unwrap();
        scene.peer.say(TEXT, "anybody?").await;
        assert_eq!(scene.peer.hear_close().await.0, CloseCode::GOING_AWAY);
        scene.peer.say_close(1001, "").await;
        scene.peer.leave().await;
        let ledger = stop(&scene.supervisor).await;
        assert_adds_up(&ledger, &scene.books);
        assert_eq!(ledger.verdict(), Verdict::Clean);
        drop(socket);
    }
}

/// Law 6: the peer is told at once, and the owner may take its time.
async fn a_drain_goes_away_while_the_owner_is_busy(over: Over) {
    for role in ROLES {
        let (mut scene, socket) = Scene::open(over, role).await;
        scene.peer.say(TEXT, "work").await;
        scene.received().await;
        let permits = scene.permits.clone();
        let (ledger, ()) = tokio::join!(stop(&scene.supervisor), async {
            assert_eq!(scene.peer.hear_close().await.0, CloseCode::GOING_AWAY);
            permits.add_permits(1);
            scene.peer.say_close(1001, "").await;
            scene.peer.leave().await;
        });
        assert_adds_up(&ledger, &scene.books);
        assert_eq!((ledger.rows.len(), ledger.verdict()), (1, Verdict::Clean), "{ledger}");
        let closed = scene.end().await;
        assert_eq!((closed.code, closed.clean), (CloseCode::GOING_AWAY, true));
        drop(socket);
    }
}

/// Law 5: what came is told first.
async fn a_cut_is_told_as_abnormal(over: Over) {
    for role in ROLES {
        let (mut scene, socket) = Scene::open(over, role).await;
        scene.permits.add_permits(1);
        scene.peer.say(TEXT, "whole").await;
        scene.peer.say_frame(TEXT, "half").await;
        settled().await;
        scene.peer.client.fin().await;
        assert_eq!(scene.received().await, "whole".into());
        let closed = scene.end().await;
        let reason = if over == Over::Tls { Reason::Truncated } else { Reason::ClosedByPeer };
        assert_eq!((closed.code, closed.clean, closed.lost.reason), (CloseCode::ABNORMAL, false, reason));
        drop(socket);
    }
}

async fn what_waits_behind_a_close_is_refused(over: Over) {
    for role in ROLES {
        let (mut scene, socket) = Scene::open(over, role).await;
        let mut waiting = vec![Box::pin(socket.send(vec![7; 1_000_000].into()))];
        while tokio::time::timeout(SECOND, waiting.last_mut().unwrap()).await.is_ok() {
            waiting = vec![Box::pin(socket.send(vec![7; 1_000_000].into()))];
        }
        let close = actix::spawn(socket.close(CloseCode::NORMAL, ""));
        let late = actix::spawn(socket.send("late".into()));
        settled().await;
        let hearing = async {
            loop {
                match scene.peer.hear().await {
                    (CLOSE, _) => break,
                    (_, payload) => assert_eq!(payload.len(), 1_000_000),
                }
            }
            scene.peer.say(CLOSE, "").await;
            scene.peer.leave().await;
        };
        let (sent, late, closed, ()) = tokio::join!(waiting.pop().unwrap(), late, close, hearing);
        closed.unwrap();
        assert_eq!((sent, late.unwrap()), (Ok(()), Err(WebSocketError::Closing)));
        assert!(scene.end().await.clean);
    }
}
