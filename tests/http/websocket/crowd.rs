//! Law 9: a stop with a hundred WebSockets alive, on both sides, in every state that one can be in.

use std::collections::BTreeMap;

use exeunt::http::{
    Body, Exchange, HttpClient, RequestBody, upgrade,
    websocket::{CloseCode, Closed, WebSocket, WebSocketOptions, WebSocketUpgrade},
};
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};

use crate::{
    crowd::{Crowd, assert_each_pair_has_parted},
    over_both,
    serving::server,
    stage::{Over, SECOND},
};

over_both!(a_stop_with_a_hundred_websockets_alive_has_a_row_for_each_end);

/// What a client does when the stop comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits for a message.
    Idle,
    /// It has asked, and waits for the answer, again and again.
    InUse,
    /// Half of a message of its own, which is larger than all buffers, is on its way.
    InMessage,
    /// The server answers its request ten seconds after the stop began.
    InHandshake,
}

const STATES: [State; 4] = [State::Idle, State::InUse, State::InMessage, State::InHandshake];

async fn echo(mut request: Request<RequestBody>) -> Response<Body> {
    let slow = request.uri() == "/InHandshake";
    let asked = WebSocketUpgrade::of(&mut request).unwrap();
    let (response, accepting) = asked.accept();
    actix::spawn(async move {
        let Ok(mut socket) = accepting.await else { return };
        while let Some(Ok(message)) = socket.next().await {
            // It is slow, so that there is a middle of a message.
            tokio::time::sleep(SECOND / 10).await;
            if socket.send(message).await.is_err() {
                break;
            }
        }
        socket.closed().await;
    });
    if slow {
        tokio::time::sleep(SECOND * 10).await;
    }
    response
}

async fn live(connection: exeunt::Handle<HttpClient>, state: State) -> Closed {
    let request = Request::get(format!("/{state:?}"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13");
    let mut response = connection.send(Exchange(request.body(Body::empty()).unwrap())).await.unwrap().unwrap();
    drop(connection);
    let mut socket = WebSocket::client(upgrade(&mut response).await.unwrap(), WebSocketOptions::new());
    match state {
        State::Idle | State::InHandshake => {}
        State::InUse => while socket.send("ping".into()).await.is_ok() && matches!(socket.next().await, Some(Ok(_))) {},
        State::InMessage => {
            // Neither side reads for a while: the message is in the middle when the stop begins.
            let _ = socket.send(vec![1; 1 << 20].into()).await;
            let _ = socket.next().await;
        }
    }
    socket.closed().await
}

async fn a_stop_with_a_hundred_websockets_alive_has_a_row_for_each_end(over: Over) {
    let crowd = Crowd::new(over);
    let mut lives = Vec::new();
    for n in 0..100 {
        let (server, client) = crowd.pair(server(echo), HttpClient::new()).await;
        lives.push((server, actix::spawn(live(client, STATES[n % 4]))));
    }
    let ledger = crowd.leave().await;
    assert_each_pair_has_parted(&ledger, 100);
    let mut codes = BTreeMap::new();
    for (_server, life) in lives {
        let closed = life.await.unwrap();
        assert!(closed.clean, "{closed}");
        *codes.entry(closed.code.as_u16()).or_insert(0) += 1;
    }
    assert_eq!(codes, BTreeMap::from([(CloseCode::GOING_AWAY.as_u16(), 100)]));
}
