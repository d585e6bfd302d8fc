//! What is asked is asked as it was said, by every way of asking.

use actix::prelude::*;
use exeunt::http::{Body, Error, ErrorKind, Fetch, Fetched, Session};
use tokio::sync::oneshot;

use super::*;
use crate::peer::{End, Server};

/// Two requests, one connection, which closes both ways at the end (law 4).
#[actix::test]
async fn a_connection_serves_one_request_after_the_other() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer(ok("one")).await;
        peer.answer(ok("two")).await;
        assert_eq!(peer.head().await, "", "close_notify");
        peer.end(End::CloseNotify).await;
    })
    .await;
    let scene = Scene::new();
    let first = scene.session.get(&server.https("/a")).send().await.unwrap();
    assert!(!first.reused());
    assert_eq!(first.text().await.unwrap(), "one");
    let second = scene.session.get(&server.https("/b")).send().await.unwrap();
    assert!(second.reused());
    assert_eq!(second.text().await.unwrap(), "two");
    assert_eq!(server.accepted(), 1);
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.by_reason["closed"], 1);
    assert!(ledger.rows[0].lost.proof.close_notify_received);
}

/// Law 1 for connections without TLS, which end by FIN.
#[actix::test]
async fn plain_http_is_counted_too() {
    let server = Server::plain(|mut peer, _| async move {
        peer.answer(ok("plain")).await;
        peer.end(End::Fin).await;
    })
    .await;
    let scene = Scene::new();
    let response = scene.session.get(&server.http("/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "plain");
    let ledger = scene.exeunt().await;
    assert_eq!((ledger.totals.admitted, ledger.totals.lost), (1, 1));
}

#[actix::test]
async fn a_request_goes_over_the_wire_as_it_was_said() {
    let notes = Notes::default();
    let heads = notes.clone();
    let server = Server::tls(move |mut peer, _| {
        let heads = heads.clone();
        async move {
            let head = peer.head().await;
            let body = peer.body(7).await;
            heads.add(head + &String::from_utf8(body).unwrap());
            peer.write(ok("")).await;
            peer.end(End::CloseNotify).await;
        }
    })
    .await;
    let base = server.https("/base/");
    let scene = Scene::with(|session| session.base_url(&base).header("x-of-session", "1").header("accept", "x/y"));
    let request = scene.session.post("thing?a=b").query("c d", "e").basic_auth("user", "pass").header("accept", "z");
    request.form([("k", "v w")]).header("x-two", "1").header("x-two", "2").body("k=v+w&x").send().await.unwrap();
    let head = notes.last();
    for line in [
        "POST /base/thing?a=b&c+d=e HTTP/1.1\r\n",
        &format!("host: localhost:{}\r\n", server.address.port()),
        "x-of-session: 1\r\n",
        "accept: z\r\n",
        "authorization: Basic dXNlcjpwYXNz\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "x-two: 1\r\nx-two: 2\r\n",
        "user-agent: exeunt/",
        "content-length: 7\r\n",
        "\r\n\r\nk=v+w&x",
    ] {
        assert!(head.contains(line), "{line:?} is not in {head}");
    }
    assert!(!head.contains("x/y"));
    scene.exeunt().await;
}

#[actix::test]
async fn an_actor_asks_by_message() {
    let server = Server::tls(|mut peer, _| async move { while !peer.answer(ok("told")).await.is_empty() {} }).await;
    let scene = Scene::new();
    let response = scene.session.addr().send(Fetch::get(&server.https("/"))).await.unwrap().unwrap();
    assert_eq!(response.text().await.unwrap(), "told");
    scene.exeunt().await;
}

/// Gets its answer as a message of its own.
struct Asker(Option<oneshot::Sender<(u64, Result<u16, Error>)>>);

impl Actor for Asker {
    type Context = Context<Self>;
}

impl Handler<Fetched> for Asker {
    type Result = ();

    fn handle(&mut self, Fetched { tag, result }: Fetched, _: &mut Self::Context) {
        let result = result.map(|response| response.status().as_u16());
        self.0.take().unwrap().send((tag, result)).unwrap();
    }
}

#[actix::test]
async fn the_answer_goes_to_the_recipient_that_was_named() {
    let server = Server::tls(|mut peer, _| async move { while !peer.answer(ok("")).await.is_empty() {} }).await;
    let scene = Scene::new();
    let (sender, answer) = oneshot::channel();
    let asker = Asker(Some(sender)).start();
    scene.session.addr().do_send(Fetch::get(&server.https("/")).reply_to(asker.recipient(), 7));
    let (tag, status) = answer.await.unwrap();
    assert_eq!((tag, status.unwrap()), (7, 200));
    scene.exeunt().await;
}

/// Bad input is told, and nothing is admitted for it.
#[actix::test]
async fn what_cannot_be_asked_for_is_an_error_and_no_connection() {
    let scene = Scene::new();
    for url in ["", "nowhere", "ftp://localhost/", "https://", "https://localhost:0/", "http://[::1"] {
        let error = scene.session.get(url).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Request(_)), "{url}: {error}");
        assert!(!error.was_sent());
    }
    let error = scene.session.get("https://localhost/").header("a b", "c").send().await.unwrap_err();
    assert!(error.to_string().contains("a header's name"), "{error}");
    let request = http::Request::get("/relative").body(Body::empty()).unwrap();
    assert!(matches!(scene.session.execute(request).await.unwrap_err().kind(), ErrorKind::Request(_)));
    assert!(Session::builder().base_url("no url").start(&scene.supervisor).is_err());
    assert_eq!(scene.exeunt().await.totals.admitted, 0);
}

/// A refused dial, an unknown authority: the error says what, where, and that nothing was sent.
#[actix::test]
async fn no_connection_is_told_with_its_cause() {
    let server = Server::tls(|_, _| async {}).await;
    let scene = Scene::new();
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = scene.session.get(&format!("https://127.0.0.1:{refused}/")).send().await.unwrap_err();
    assert_eq!(error.lost().unwrap().reason.code(), "dial_failed");
    assert!(error.to_string().starts_with("GET https://127.0.0.1:"), "{error}");
    let stranger = exeunt::ClientTls::builder().trust_pem(&exeunt::tls::self_signed(&["x"]).unwrap().ca_pem).build();
    let request = scene.session.get(&server.https("/")).tls(&stranger.unwrap());
    let error = request.send().await.unwrap_err();
    assert_eq!((error.lost().unwrap().reason.code(), error.was_sent()), ("handshake_failed", false));
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.lost, 2);
}
