//! Law 9: a stop with a hundred upgrades alive, on both sides, in every state that one can be in.

use std::{collections::BTreeMap, sync::Arc};

use actix::Actor;
use exeunt::{
    Adopt, ClientTls, Ledger, Reason, Role, Socket, Stop, StopPlan, Supervisor,
    http::{Body, Exchange, HttpClient, RequestBody, upgrade},
};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    serving::server,
    stage::{PIPE, SECOND, assert_adds_up, server_tls, settled, signed},
};

/// What becomes of one of them in the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Both sides wait, and both leave when they hear of the drain.
    Idle,
    /// The client writes and reads on for five seconds of the drain.
    InUse,
    /// The server answers the request five seconds after the stop began.
    Asking,
    /// Neither side cares: the end of the drain closes both.
    Deaf,
}

const STATES: [State; 4] = [State::Idle, State::InUse, State::Asking, State::Deaf];

async fn serve_one(mut request: Request<RequestBody>) -> Result<Response<Body>, http::Error> {
    let upgrading = upgrade(&mut request);
    let path = request.uri().path().to_owned();
    let slow = path == "/Asking";
    actix::spawn(async move {
        let Ok(mut stream) = upgrading.await else { return };
        let draining = stream.draining();
        match path.as_str() {
            "/Idle" => drop(draining.await),
            "/Deaf" => drop(stream.closed().await),
            _ => {
                let mut bytes = [0; 1024];
                while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..n]).await.is_err() {
                        break;
                    }
                }
            }
        }
    });
    if slow {
        tokio::time::sleep(SECOND * 10).await;
    }
    Response::builder().status(101).header("connection", "upgrade").header("upgrade", "test").body(Body::empty())
}

async fn live(connection: exeunt::Handle<HttpClient>, state: State) {
    let request = Request::get(format!("/{state:?}")).header("connection", "upgrade").header("upgrade", "test");
    let mut response = connection.send(Exchange(request.body(Body::empty()).unwrap())).await.unwrap().unwrap();
    drop(connection);
    let mut stream = upgrade(&mut response).await.unwrap();
    match state {
        State::Idle => drop(stream.draining().await),
        State::Deaf => drop(stream.closed().await),
        State::Asking => {}
        State::InUse => {
            let draining = stream.draining();
            let mut until = None;
            let mut draining = Box::pin(draining);
            loop {
                stream.write_all(b"ping").await.unwrap();
                stream.read_exact(&mut [0; 4]).await.unwrap();
                tokio::select! {
                    _ = &mut draining, if until.is_none() => until = Some(tokio::time::Instant::now() + SECOND * 5),
                    () = tokio::time::sleep(SECOND) => {}
                }
                if until.is_some_and(|until| tokio::time::Instant::now() >= until) {
                    break;
                }
            }
        }
    }
}

#[actix::test]
async fn a_stop_with_a_hundred_upgrades_alive_has_a_row_for_each_end() {
    tokio::time::pause();
    for secure in [true, false] {
        let ledger = play(secure).await;
        assert_eq!(ledger.rows.len(), 200, "{ledger}");
        let mut reasons = BTreeMap::new();
        for row in &ledger.rows {
            *reasons.entry(row.lost.reason.code()).or_insert(0) += 1;
            assert!(matches!(row.lost.reason, Reason::Closed | Reason::ClosedByPeer), "{}", row.lost);
            assert_eq!(row.lost.bytes_unsent, 0, "{}", row.lost);
        }
        // Where one side leaves, the other is closed by it; where both do, each may be first.
        assert!(reasons["closed"] >= 100, "{reasons:?}");
    }
}

async fn play(secure: bool) -> Arc<Ledger> {
    let supervisor = Supervisor::new();
    let books = supervisor.books();
    let supervisor = supervisor.start();
    let tls = ClientTls::builder().trust_pem(&signed().ca_pem).build().unwrap();
    let mut lives = Vec::new();
    for n in 0..100 {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (ours, theirs) = (Socket::boxed(ours), Socket::boxed(theirs));
        let (accept, connect) = match secure {
            true => (
                Adopt::server(theirs, "a client", &server_tls(), server(serve_one)),
                Adopt::client(ours, "localhost", &tls, HttpClient::new()),
            ),
            false => (
                Adopt::plain(theirs, "a client", Role::Server, server(serve_one)),
                Adopt::plain(ours, "localhost", Role::Client, HttpClient::new()),
            ),
        };
        let (accepted, connected) = tokio::join!(supervisor.send(accept), supervisor.send(connect));
        lives.push((accepted.unwrap().unwrap(), actix::spawn(live(connected.unwrap().unwrap(), STATES[n % 4]))));
    }
    settled().await;
    let ledger = supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 20).linger(SECOND))).await.unwrap();
    assert_adds_up(&ledger, &books);
    for (_, life) in lives {
        life.await.unwrap();
    }
    ledger
}
