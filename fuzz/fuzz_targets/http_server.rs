//! A request's bytes, and any others, into an HTTP server through the pump, with TLS or without.
//!
//! What is held: the body of a request ends well only at its length or at its last chunk; no request is handled that was not said; one `Lost`; and no response is begun twice.
#![no_main]

use std::sync::{Arc, Mutex};

use arbitrary::Arbitrary;
use exeunt::{
    http::{Body, FromFn, HttpServer, RequestBody},
    Adopt, Role, Socket,
};
use exeunt_fuzz::{stage::*, web::*};
use http::{header::CONTENT_LENGTH, Request, Response};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    tls: bool,
    /// The handler reads the body: all of it, a piece of it, nothing of it.
    reads: u8,
    /// Its answer is a stream.
    streams: bool,
    says: Vec<Say<'a>>,
    last: Last,
}

/// A body that was read to its end: its length, and the length that its head told.
type Read = (usize, Option<usize>);

fuzz_target!(|input: Input<'_>| play(scene(input)));

async fn scene(input: Input<'_>) {
    let (supervisor, books) = supervise();
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let ours = Socket::boxed(ours);
    let seen = Arc::new(Mutex::new((0, Vec::<Read>::new())));
    let (reads, streams, told) = (input.reads % 3, input.streams, seen.clone());
    let handler = move |request: Request<RequestBody>| {
        let told = told.clone();
        async move {
            told.lock().unwrap().0 += 1;
            let length = request.headers().get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse().ok());
            let mut body = request.into_body();
            match reads {
                0 => {
                    let read = body.collect().await?.to_bytes().len();
                    told.lock().unwrap().1.push((read, length));
                }
                1 => drop(body.frame().await),
                _ => {}
            }
            let answer = match streams {
                true => Body::stream(tokio_stream([Ok::<_, std::io::Error>("str"), Ok("eam")])),
                false => Body::from("answer"),
            };
            Ok::<_, exeunt::http::BodyError>(Response::new(answer))
        }
    };
    let server = HttpServer::new(FromFn::new(handler));
    let (connection, mut peer) = if input.tls {
        let adopt = Adopt::server(ours, "pipe", server_tls(), server);
        let mut peer = RawPeer::new(Side::Server, Version::Tls13, theirs);
        let (connection, ()) = tokio::join!(supervisor.send(adopt), peer.shake_hands());
        (connection, Speaker::Tls(peer))
    } else {
        let adopt = Adopt::plain(ours, "pipe", Role::Server, server);
        (supervisor.send(adopt).await, Speaker::Plain(theirs))
    };
    drop(connection.unwrap().unwrap());
    let (said, _) = peer.play(&input.says).await;
    settle().await;
    let heard = peer.listen().await;
    let (peer, _) = peer.end(input.last).await;
    settle().await;
    let ledger = exeunt(supervisor, books).await;
    drop(peer);
    assert_eq!(ledger.totals.lost, 1);
    let (handled, read) = &*seen.lock().unwrap();
    // A head takes more than so many bytes: "GET / HTTP/1.1".
    assert!(handled * 14 <= said.len(), "{handled} requests in {} bytes", said.len());
    let answers = heard.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    // Each that was handled, one that was not (400, 408), and a 100 for each.
    assert!(answers <= 2 * handled + 1, "{answers} answers to {handled} requests");
    for (length, promised) in read {
        assert!(*length <= said.len());
        assert!(promised.is_none_or(|promised| promised == *length), "{length} bytes of {promised:?} for a whole body");
    }
}

/// A stream of these.
fn tokio_stream<T: Send + 'static, const N: usize>(items: [T; N]) -> impl futures_util::Stream<Item = T> + Send {
    futures_util::stream::iter(items)
}
