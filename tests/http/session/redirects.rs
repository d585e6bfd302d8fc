//! Where redirects lead, and what goes along (RFC 9110, section 15.4).

use exeunt::http::{Body, ErrorKind, RedirectError};

use super::*;
use crate::peer::{Peer, Server};

fn to(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

/// Answers by path, and writes down what was asked, with its body.
async fn server(notes: &Notes, elsewhere: Option<u16>) -> Server {
    let notes = notes.clone();
    Server::tls(move |mut peer: Peer, _| {
        let notes = notes.clone();
        async move {
            loop {
                let head = peer.head().await;
                let Some(path) = head.split(' ').nth(1).map(str::to_owned) else { return };
                let length =
                    head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
                let body = peer.body(length.unwrap_or(0)).await;
                notes.add(format!("{head}{}", String::from_utf8(body).unwrap()));
                let answer = match path.split_once('/').unwrap().1 {
                    "end" | "end?x" => ok("the end"),
                    "circle" => to(302, "/there"),
                    "there" => to(302, "/circle"),
                    "away" => to(302, &format!("https://127.0.0.1:{}/end", elsewhere.unwrap())),
                    "nowhere" => to(302, "https://["),
                    "bare" => "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    path if path.starts_with("count") => {
                        to(302, &format!("/count{}", path[5..].parse::<u32>().unwrap() + 1))
                    }
                    status => to(status.parse().unwrap(), "end?x"),
                };
                peer.write(answer).await;
            }
        }
    })
    .await
}

#[actix::test]
async fn methods_and_bodies_change_as_they_should() {
    let notes = Notes::default();
    let server = server(&notes, None).await;
    let scene = Scene::new();
    for (status, method, then, body) in [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (307, "POST", "POST", "body"),
        (308, "PUT", "PUT", "body"),
    ] {
        let request = scene.session.request(method.parse().unwrap(), &server.https(&format!("/{status}")));
        let response = request.header("content-type", "x/y").body("body").send().await.unwrap();
        assert_eq!(response.uri().path(), "/end");
        assert_eq!(response.history().len(), 1);
        assert_eq!(response.text().await.unwrap(), "the end");
        let last = notes.last();
        assert!(last.starts_with(&format!("{then} /end?x HTTP/1.1")), "{status} {method}: {last}");
        assert!(last.ends_with(&format!("\r\n\r\n{body}")), "{status} {method}: {last}");
        assert_eq!(last.contains("x/y"), !body.is_empty(), "{status} {method}: {last}");
    }
    assert_eq!(server.accepted(), 1, "a redirect's connection is used again");
    scene.exeunt().await;
}

#[actix::test]
async fn credentials_are_not_shown_to_another_origin() {
    let notes = Notes::default();
    let elsewhere = server(&notes, None).await;
    let server = server(&notes, Some(elsewhere.address.port())).await;
    let scene = Scene::new();
    let url = server.https("/away").replace("https://", "https://user:pass@");
    scene.session.get(&url).header("cookie", "c=1").header("x-mine", "1").send().await.unwrap().bytes().await.unwrap();
    let heads = notes.all();
    assert!(heads[0].contains("authorization: Basic") && heads[0].contains("cookie: "), "{heads:?}");
    assert!(!heads[1].contains("authorization") && !heads[1].contains("cookie"), "{heads:?}");
    assert!(heads[1].contains("x-mine: 1") && heads[1].contains("host: 127.0.0.1"), "{heads:?}");
    // To the same origin they go along.
    scene.session.get(&server.https("/302")).bearer_auth("token").send().await.unwrap().bytes().await.unwrap();
    assert!(notes.last().contains("authorization: Bearer token"));
    scene.exeunt().await;
}

/// What the session adds to every request is the request's own from the first redirect on: it is not added again where it was left behind.
#[actix::test]
async fn a_sessions_credentials_are_not_shown_to_another_origin() {
    let notes = Notes::default();
    let elsewhere = server(&notes, None).await;
    let server = server(&notes, Some(elsewhere.address.port())).await;
    let scene = Scene::with(|session| session.header("authorization", "Bearer of all").header("x-all", "1"));
    scene.session.get(&server.https("/away")).send().await.unwrap().bytes().await.unwrap();
    let heads = notes.all();
    assert!(heads[0].contains("authorization: Bearer of all") && heads[0].contains("x-all: 1"), "{heads:?}");
    assert!(!heads[1].contains("authorization") && heads[1].contains("x-all: 1"), "{heads:?}");
    assert!(heads[1].contains(&format!("host: 127.0.0.1:{}", elsewhere.address.port())), "{heads:?}");
    scene.exeunt().await;
}

#[actix::test]
async fn redirects_that_lead_nowhere_are_errors() {
    let server = server(&Notes::default(), None).await;
    let scene = Scene::with(|session| session.redirects(3));
    let error = async |path: &str| match scene.session.get(&server.https(path)).send().await.unwrap_err() {
        error if matches!(error.kind(), ErrorKind::Redirect(_)) => match error.kind() {
            ErrorKind::Redirect(error) => error.clone(),
            _ => unreachable!(),
        },
        error => panic!("{path}: {error:?}"),
    };
    assert!(matches!(error("/circle").await, RedirectError::Loop(_)));
    assert_eq!(error("/count0").await, RedirectError::TooMany(3));
    assert!(matches!(error("/nowhere").await, RedirectError::Location(_)));
    // Without a Location it is a response like any other, and so it is when none are followed.
    assert_eq!(scene.session.get(&server.https("/bare")).send().await.unwrap().status(), 302);
    assert_eq!(scene.session.get(&server.https("/302")).redirects(0).send().await.unwrap().status(), 302);
    // A body that is a stream is there once.
    let stream = Body::stream(futures_util::stream::iter([Ok::<_, std::io::Error>("body")]));
    let request = scene.session.post(&server.https("/307")).header("content-length", "4").body(stream);
    let refused = request.send().await;
    assert!(refused.is_err(), "{refused:?}");
    scene.exeunt().await;
}
