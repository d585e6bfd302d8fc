//! Law 9: a stop with a hundred connections of HTTP/2 alive, as their server, in every state that one can be in.

use exeunt::Role;
use futures_util::{StreamExt, stream};
use tokio::io::AsyncWriteExt;

use super::*;
use crate::{
    crowd::{Crowd, WHILE},
    roll_call::{expected, roll_call},
};

over_both!(a_stop_with_a_hundred_servers_has_a_row_for_each);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its one request is answered.
    Idle,
    /// The handler is at work.
    InUse,
    /// Half of the response's body has gone.
    InBody,
    /// Half of the request's body is here.
    InUpload,
    /// The client has said nothing: no handshake, or where there is none no preface.
    Silent,
}

const STATES: [State; 5] = [State::Idle, State::InUse, State::InBody, State::InUpload, State::Silent];

const EACH: usize = 20;

/// Law 6: what was accepted is answered, each client hears GOAWAY and which was the last, and then the end of the connection.
async fn a_stop_with_a_hundred_servers_has_a_row_for_each(over: Over) {
    let mut crowd = Crowd::new(over);
    let mut lives = Vec::new();
    for n in 0..EACH * STATES.len() {
        let state = STATES[n % STATES.len()];
        let server = server(move |request| answer(request, state));
        if (state, over) == (State::Silent, Over::Tls) {
            crowd.handshaking(Role::Server, server);
            continue;
        }
        let (connection, client) = crowd.one(Role::Server, server).await;
        lives.push((connection, actix::spawn(live(client.stream, state))));
    }
    let ledger = crowd.leave().await;
    let ends = match over {
        Over::Tls => expected([("open: closed", 4 * EACH), ("handshaking: cancelled", EACH)]),
        Over::Plain => expected([("open: closed", 5 * EACH)]),
    };
    assert_eq!(roll_call(&ledger), ends, "{ledger}");
    assert!(ledger.elapsed > WHILE - SECOND, "it waited for what was in the middle: {:?}", ledger.elapsed);
    for (_connection, life) in lives {
        life.await.unwrap();
    }
}

async fn answer(request: Request<RequestBody>, state: State) -> Result<Response<Body>, BodyError> {
    let asked = request.into_body().collect().await?.to_bytes();
    if state == State::InUse {
        tokio::time::sleep(WHILE).await;
    }
    let rest = async move {
        if state == State::InBody {
            tokio::time::sleep(WHILE).await;
        }
        Ok::<_, io::Error>(asked)
    };
    Ok(Response::new(Body::stream(stream::iter([Ok("half, ".into())]).chain(stream::once(rest)))))
}

/// The client: it hears out what the server has to say, and answers its PING.
async fn live(mut stream: Box<dyn Stream>, state: State) {
    if state == State::Silent {
        assert_eq!(stream.read(&mut [0; 1024]).await.unwrap(), 0, "nothing was said to whom has said nothing");
        return stream.shutdown().await.unwrap();
    }
    let mut client = Frames::client(stream).await;
    client.ask(1, 0).await;
    client.say(frames::DATA, 0, 1, b"half, ").await;
    if state == State::InUpload {
        tokio::time::sleep(WHILE).await;
    }
    client.say(frames::DATA, frames::END_STREAM, 1, b"whole").await;
    let (mut body, mut going) = (Vec::new(), Vec::new());
    while let Some(frame) = client.next().await {
        match frame.kind {
            frames::DATA => body.extend(&frame.payload),
            frames::GOAWAY => going.push((frame.number(0), frame.number(4))),
            frames::PING => client.say(frames::PING, frames::ACK, 0, &frame.payload).await,
            _ => {}
        }
    }
    assert_eq!(String::from_utf8(body).unwrap(), "half, half, whole", "{state:?}");
    assert_eq!(going, [(0x7fff_ffff, frames::NO_ERROR), (1, frames::NO_ERROR)], "{state:?}");
    client.0.shutdown().await.unwrap();
}
