//! Law 9: a stop with a hundred connections of HTTP/2 alive, as their client, in every state that one can be in.

use exeunt::{
    Role,
    http::{Body, Exchange, HttpClient},
};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    crowd::{Crowd, WHILE},
    frames::{self, Frames},
    over_both,
    roll_call::{expected, roll_call},
    stage::{Over, SECOND, Stream},
};

over_both!(a_stop_with_a_hundred_clients_has_a_row_for_each);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its one exchange is over.
    Idle,
    /// Its peer has the request.
    InUse,
    /// Half of the response's body is here.
    InBody,
    /// Half of the request's body has gone.
    InUpload,
    /// Its peer has said GOAWAY, and has the request.
    Going,
    /// Its peer has not answered: the handshake, or where there is none the preface.
    Unanswered,
}

const STATES: [State; 6] = [State::Idle, State::InUse, State::InBody, State::InUpload, State::Going, State::Unanswered];

const EACH: usize = 20;

/// Law 6: what is under way is finished, GOAWAY is the last that each peer hears, and then the end of the connection.
async fn a_stop_with_a_hundred_clients_has_a_row_for_each(over: Over) {
    let mut crowd = Crowd::new(over);
    let mut lives = Vec::new();
    for n in 0..EACH * STATES.len() {
        let state = STATES[n % STATES.len()];
        let client = HttpClient::new().versions(Versions::Http2);
        if (state, over) == (State::Unanswered, Over::Tls) {
            crowd.handshaking(Role::Client, client);
            continue;
        }
        let (connection, peer) = crowd.one(Role::Client, client).await;
        let peer = actix_rt::spawn(serve_one(peer.stream, state));
        let asked = (state != State::Unanswered).then(|| connection.send(request(state)));
        lives.push((connection, peer, asked.map(|asked| actix_rt::spawn(read(asked)))));
    }
    let ledger = crowd.leave().await;
    let ends = match over {
        Over::Tls => expected([("open: closed", 5 * EACH), ("handshaking: cancelled", EACH)]),
        Over::Plain => expected([("open: closed", 6 * EACH)]),
    };
    assert_eq!(roll_call(&ledger), ends, "{ledger}");
    assert!(ledger.elapsed > WHILE - SECOND, "it waited for what was in the middle: {:?}", ledger.elapsed);
    for (_connection, peer, answer) in lives {
        peer.await.unwrap();
        if let Some(answer) = answer {
            assert_eq!(answer.await.unwrap(), "half, whole");
        }
    }
}

fn request(state: State) -> Exchange {
    let body = match state {
        State::InUpload => {
            let rest = async {
                tokio::time::sleep(WHILE).await;
                Ok::<_, std::io::Error>("and the rest")
            };
            Body::stream(futures_util::stream::iter([Ok("half ")]).chain(futures_util::stream::once(rest)))
        }
        _ => Body::empty(),
    };
    Exchange(Request::post("/").body(body).unwrap())
}

type Answered = <Exchange as actix::Message>::Result;

async fn read(asking: impl Future<Output = Result<Answered, exeunt::Ended>>) -> String {
    let response = asking.await.unwrap().unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

/// The peer: it is silent for a while where something is to be in its middle, and hears GOAWAY and nothing behind it.
async fn serve_one(stream: Box<dyn Stream>, state: State) {
    if state == State::Unanswered {
        let mut peer = Frames(stream);
        peer.0.read_exact(&mut [0; frames::PREFACE.len()]).await.unwrap();
        return part(peer).await;
    }
    let mut peer = Frames::server(stream, &[]).await;
    assert_eq!(peer.next_of(frames::HEADERS).await.stream, 1);
    match state {
        State::Going => {
            peer.go_away(1, frames::NO_ERROR).await;
            tokio::time::sleep(WHILE).await;
        }
        State::InUse => tokio::time::sleep(WHILE).await,
        State::InUpload => {
            let mut body = Vec::new();
            while body != b"half and the rest" {
                body.extend(peer.next_of(frames::DATA).await.payload);
            }
        }
        _ => {}
    }
    peer.head(1).await;
    peer.say(frames::DATA, 0, 1, b"half, ").await;
    if state == State::InBody {
        tokio::time::sleep(WHILE).await;
    }
    peer.say(frames::DATA, frames::END_STREAM, 1, b"whole").await;
    if state == State::Going {
        peer.until_end().await;
        return peer.0.shutdown().await.unwrap();
    }
    part(peer).await;
}

async fn part(mut peer: Frames<Box<dyn Stream>>) {
    let going = peer.next_of(frames::GOAWAY).await;
    assert_eq!((going.number(0), going.number(4)), (0, frames::NO_ERROR));
    assert!(peer.next().await.is_none(), "nothing after GOAWAY");
    peer.0.shutdown().await.unwrap();
}
