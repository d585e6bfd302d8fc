//! Digest authorization (RFC 7616): one challenge answered, and nobody else told.

use exeunt::http::{Body, ErrorKind};
use futures_util::stream;

use super::*;
use crate::peer::{End, Peer, Server};

/// A server that asks for a digest as the answers of its script say, in turn, and writes down what it was asked.
async fn server(notes: &Notes, answers: &[&str]) -> Server {
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let (notes, asked) = (notes.clone(), std::rc::Rc::new(std::cell::Cell::new(0)));
    Server::tls(move |mut peer: Peer, _| {
        let (notes, answers, asked) = (notes.clone(), answers.clone(), asked.clone());
        async move {
            loop {
                let head = peer.head().await;
                let Some(path) = head.split(' ').nth(1).map(str::to_owned) else {
                    return peer.end(End::CloseNotify).await;
                };
                let length =
                    head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
                let body = match length {
                    Some(length) => peer.body(length).await,
                    // One chunk and the last.
                    None if head.contains("chunked") => peer.body("4\r\nbody\r\n0\r\n\r\n".len()).await,
                    None => Vec::new(),
                };
                let authorization = head.split("authorization: ").nth(1).and_then(|rest| rest.split("\r\n").next());
                notes.add(format!("{path} {} {}", String::from_utf8(body).unwrap(), authorization.unwrap_or("-")));
                let answer = answers[asked.replace(asked.get() + 1).min(answers.len() - 1)].clone();
                peer.write(answer).await;
            }
        }
    })
    .await
}

fn challenge(nonce: &str, more: &str) -> String {
    let digest = format!("Digest realm=\"r\", nonce=\"{nonce}\", algorithm=SHA-256, qop=\"auth\"{more}");
    format!("HTTP/1.1 401 Who\r\nwww-authenticate: Basic realm=\"b\", {digest}\r\ncontent-length: 3\r\n\r\nwho")
}

fn field<'a>(note: &'a str, name: &str) -> &'a str {
    note.split(&format!("{name}=")).nth(1).map_or("", |rest| rest.split([',', ' ']).next().unwrap()).trim_matches('"')
}

#[actix::test]
async fn a_challenge_is_answered_once_and_its_nonce_used_again() {
    let notes = Notes::default();
    let server = server(&notes, &[&challenge("n1", ""), &ok("in")]).await;
    let scene = Scene::new();
    for round in 1..=3 {
        let request = scene.session.post(&server.https("/a?b=c")).digest_auth("user", "pass").body("body");
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "in");
        assert_eq!(notes.all().len(), round + 1, "only the first is asked");
        let last = notes.last();
        assert!(last.starts_with("/a?b=c body Digest username=\"user\""), "{last}");
        assert_eq!((field(&last, "nc"), field(&last, "uri")), (&*format!("{round:08x}"), "/a?b=c"));
        assert!(!last.contains("pass"));
    }
    assert_eq!(notes.all()[0], "/a?b=c body -", "nothing is said before it is asked for");
    assert_eq!(server.accepted(), 1);
    scene.exeunt().await;
}

#[actix::test]
async fn a_stale_nonce_is_replaced_and_a_wrong_password_is_told() {
    let notes = Notes::default();
    let answers =
        [challenge("n1", ""), challenge("n2", ", stale=true"), ok("in"), challenge("n3", ""), challenge("n4", "")];
    let server = server(&notes, &answers.each_ref().map(String::as_str)).await;
    let scene = Scene::new();
    let ask = || scene.session.get(&server.https("/")).digest_auth("user", "pass").send();
    assert_eq!(ask().await.unwrap().text().await.unwrap(), "in");
    assert_eq!((notes.all().len(), field(&notes.last(), "nonce")), (3, "n2"));
    // The nonce of before, refused, and then a new one, refused, too: that is the answer.
    let refused = ask().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.text().await.unwrap(), "who");
    let nonces: Vec<_> = notes.all().iter().map(|note| field(note, "nonce").to_owned()).collect();
    assert_eq!(nonces, ["", "n1", "n2", "n2", "n3"]);
    scene.exeunt().await;
}

/// A peer that always says that the nonce is stale is not asked for ever.
#[actix::test]
async fn a_peer_that_is_never_content_is_left() {
    let notes = Notes::default();
    let server = server(&notes, &[&challenge("n", ", stale=true")]).await;
    let scene = Scene::new();
    let refused = scene.session.get(&server.https("/")).digest_auth("user", "pass").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(notes.all().len(), 4);
    drop(refused);
    scene.exeunt().await;
}

#[actix::test]
async fn a_stream_is_there_once_and_the_next_is_sent_unasked() {
    let notes = Notes::default();
    let server = server(&notes, &[&challenge("n1", ""), &ok("in")]).await;
    let scene = Scene::new();
    let ask = || {
        let body = Body::stream(stream::iter([Ok::<_, std::io::Error>("body")]));
        scene.session.post(&server.https("/")).digest_auth("user", "pass").body(body).send()
    };
    let error = ask().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unrepeatable), "{error}");
    assert!(error.was_sent() && error.to_string().contains("stream"), "{error}");
    assert_eq!(ask().await.unwrap().text().await.unwrap(), "in");
    assert_eq!((notes.all().len(), field(&notes.last(), "nc")), (2, "00000001"));
    scene.exeunt().await;
}

#[actix::test]
async fn no_other_origin_is_answered() {
    let notes = Notes::default();
    let elsewhere = server(&notes, &[&challenge("theirs", "")]).await;
    let away = format!("https://127.0.0.1:{}/there", elsewhere.address.port());
    let away = format!("HTTP/1.1 307 Away\r\nlocation: {away}\r\ncontent-length: 0\r\n\r\n");
    let near = "HTTP/1.1 307 Near\r\nlocation: /near\r\ncontent-length: 0\r\n\r\n";
    let server = server(&notes, &[&challenge("n1", ""), near, &away]).await;
    let scene = Scene::new();
    let refused = scene.session.get(&server.https("/")).digest_auth("user", "pass").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let notes = notes.all();
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert_eq!((field(&notes[1], "nc"), field(&notes[2], "nc")), ("00000001", "00000002"), "the same origin is");
    assert_eq!(field(&notes[2], "uri"), "/near");
    assert_eq!(notes[3], "/there  -");
    drop(refused);
    // Bad input, and a URL whose credentials would be Basic.
    assert!(scene.session.get("https://localhost/").digest_auth("a:b", "c").send().await.is_err());
    scene.exeunt().await;
}
