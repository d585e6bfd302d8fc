//! A response's bytes, and any others, into an HTTP client through the pump, with TLS or without.
//!
//! What is held: every exchange is answered once; a body ends well only at its length, at its last chunk, or, when it has neither, at an end that the peer has said; nothing comes that nobody sent; one `Lost`.
#![no_main]

use std::{cell::RefCell, rc::Rc};

use arbitrary::Arbitrary;
use exeunt::{
    http::{Body, Exchange, HttpClient},
    Adopt, Role, Socket,
};
use exeunt_fuzz::{stage::*, web::*};
use http::{header::CONTENT_LENGTH, header::TRANSFER_ENCODING, Method, Request};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    tls: bool,
    /// Each exchange: HEAD, with a body, and whether its response is read.
    asks: Vec<(bool, bool, bool)>,
    /// What was said before anything was asked for counts as unasked.
    first: bool,
    says: Vec<Say<'a>>,
    last: Last,
}

/// What became of an exchange.
#[derive(Debug)]
enum Became {
    Whole { head: bool, status: u16, length: Option<u64>, chunked: bool, body: Vec<u8> },
    Failed,
    Dropped,
}

fuzz_target!(|input: Input<'_>| play(scene(input)));

async fn scene(input: Input<'_>) {
    let (supervisor, books) = supervise();
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let ours = Socket::boxed(ours);
    let (connection, mut peer) = if input.tls {
        let adopt = Adopt::client(ours, "localhost", client_tls(), HttpClient::new());
        let mut peer = RawPeer::new(Side::Client, Version::Tls13, theirs);
        let (connection, ()) = tokio::join!(supervisor.send(adopt), peer.shake_hands());
        (connection, Speaker::Tls(peer))
    } else {
        let adopt = Adopt::plain(ours, "pipe", Role::Client, HttpClient::new());
        (supervisor.send(adopt).await, Speaker::Plain(theirs))
    };
    let connection = connection.unwrap().unwrap();

    let became = Rc::new(RefCell::new(Vec::new()));
    let asked = input.asks.iter().take(4).copied().collect::<Vec<_>>();
    let count = asked.len();
    let asking = actix_rt::spawn({
        let (connection, became) = (connection.clone(), became.clone());
        async move {
            for (head, body, read) in asked {
                let request = Request::builder().method(if head { Method::HEAD } else { Method::POST }).uri("/");
                let body = if body { Body::from("body") } else { Body::empty() };
                let answer = connection.send(Exchange(request.body(body).unwrap())).await;
                let one = match answer {
                    Ok(Ok(response)) if read => {
                        let (parts, body) = response.into_parts();
                        match body.collect().await {
                            Ok(body) => Became::Whole {
                                head,
                                status: parts.status.as_u16(),
                                length: parts.headers.get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse().ok()),
                                chunked: parts.headers.contains_key(TRANSFER_ENCODING),
                                body: body.to_bytes().to_vec(),
                            },
                            Err(_) => Became::Failed,
                        }
                    }
                    Ok(Ok(_)) => Became::Dropped,
                    Ok(Err(_)) | Err(_) => Became::Failed,
                };
                became.borrow_mut().push(one);
            }
        }
    });
    if !input.first {
        settle().await;
    }
    let (said, certain) = peer.play(&input.says).await;
    let (peer, clean) = peer.end(input.last).await;
    settle().await;
    drop(connection);
    let ledger = exeunt(supervisor, books).await;
    settle().await;
    assert!(asking.is_finished(), "an exchange is not answered: {:?}", became.borrow());
    drop(peer);
    let became = became.borrow();
    assert_eq!(became.len(), count, "{became:?}");
    assert_eq!(ledger.totals.lost, 1);
    let mut received = 0;
    for one in &*became {
        let Became::Whole { head, status, length, chunked, body } = one else { continue };
        received += body.len();
        let without = *head || matches!(status, 204 | 304) || *status < 200;
        match (without, chunked, length) {
            (true, ..) => assert!(body.is_empty(), "{one:?}"),
            (false, false, Some(length)) => assert_eq!(body.len() as u64, *length, "{one:?}"),
            (false, true, _) => assert!(contains(&said, b"0"), "{one:?}"),
            (false, false, None) => assert!(clean || !certain, "an end that nobody said: {one:?}"),
        }
        assert!(body.len() <= said.len(), "what nobody said: {one:?}");
    }
    assert!(received <= said.len());
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}
