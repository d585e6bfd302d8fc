//! Law 9: a stop with a hundred upgrades alive, on both sides, in every state that one can be in.

use exeunt::http::{Body, Exchange, HttpClient, RequestBody, upgrade};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    crowd::{Crowd, WHILE, assert_each_pair_has_parted},
    over_both,
    serving::server,
    stage::{Over, SECOND},
};

over_both!(a_stop_with_a_hundred_upgrades_alive_has_a_row_for_each_end);

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
                    _ = &mut draining, if until.is_none() => until = Some(tokio::time::Instant::now() + WHILE),
                    () = tokio::time::sleep(SECOND) => {}
                }
                if until.is_some_and(|until| tokio::time::Instant::now() >= until) {
                    break;
                }
            }
        }
    }
}

async fn a_stop_with_a_hundred_upgrades_alive_has_a_row_for_each_end(over: Over) {
    let crowd = Crowd::new(over);
    let mut lives = Vec::new();
    for n in 0..100 {
        let (server, client) = crowd.pair(server(serve_one), HttpClient::new()).await;
        lives.push((server, actix::spawn(live(client, STATES[n % 4]))));
    }
    let ledger = crowd.leave().await;
    assert_each_pair_has_parted(&ledger, 100);
    for (rows, state) in ledger.rows.chunks(2).zip(STATES.iter().cycle()) {
        let reasons = [rows[0].lost.reason.code(), rows[1].lost.reason.code()];
        // Where the client alone leaves; in the other states both do, and each may be first.
        if matches!(state, State::InUse | State::Asking) {
            assert_eq!(reasons, ["closed_by_peer", "closed"], "{state:?}");
        }
    }
    for (_server, life) in lives {
        life.await.unwrap();
    }
}
