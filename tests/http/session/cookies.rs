//! Cookies through a session (RFC 6265): where they come from, and where they go.

use exeunt::http::{CookieJar, Retry};

use super::*;
use crate::peer::{End, Peer, Server};

/// Answers each request with these headers, by path, and writes down the path and the cookies that came.
async fn server(notes: &Notes, tls: bool, answer: impl Fn(&str) -> String + Clone + 'static) -> Server {
    let notes = notes.clone();
    let script = move |mut peer: Peer, _| {
        let (notes, answer) = (notes.clone(), answer.clone());
        async move {
            loop {
                let head = peer.head().await;
                let Some(path) = head.split(' ').nth(1).map(str::to_owned) else {
                    return peer.end(End::CloseNotify).await;
                };
                let cookie = head.split("cookie: ").nth(1).and_then(|rest| rest.split("\r\n").next());
                notes.add(format!("{path} {}", cookie.unwrap_or("-")));
                peer.write(answer(&path)).await;
            }
        }
    };
    if tls { Server::tls(script).await } else { Server::plain(script).await }
}

fn with(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n")
}

#[actix::test]
async fn cookies_are_kept_through_redirects_and_across_origins() {
    let notes = Notes::default();
    let elsewhere =
        server(&notes, true, |_| with("200 OK", "set-cookie: theirs=3\r\nset-cookie: x=1; Domain=localhost\r\n")).await;
    let away = elsewhere.address.port();
    let server = server(&notes, true, move |path| match path {
        "/login" => with(
            "302 Found",
            "location: /home\r\nset-cookie: session=1; Secure; HttpOnly\r\nset-cookie: deep=2; Path=/deep\r\n",
        ),
        "/away" => with("307 Temporary", &format!("location: https://127.0.0.1:{away}/there\r\n")),
        "/logout" => with("200 OK", "set-cookie: session=; Max-Age=0\r\n"),
        _ => with("200 OK", ""),
    })
    .await;
    let jar = CookieJar::new();
    let scene = Scene::with(|session| session.cookies(&jar));
    let get = async |url: String| drop(scene.session.get(&url).send().await.unwrap().bytes().await.unwrap());
    for path in ["/login", "/deep/er", "/away", "/logout", "/home"] {
        get(server.https(path)).await;
    }
    get(elsewhere.https("/").replace("localhost", "127.0.0.1")).await;
    // A port makes no other host of it: RFC 6265, section 8.5.
    assert_eq!(
        notes.all(),
        [
            "/login -",
            "/home session=1",
            "/deep/er deep=2; session=1",
            "/away session=1",
            "/there -",
            "/logout session=1",
            "/home -",
            "/ theirs=3",
        ]
    );
    assert_eq!(jar.get(&server.https("/deep/"), "deep").as_deref(), Some("2"));
    scene.exeunt().await;
}

#[actix::test]
async fn a_secure_cookie_stays_with_https_and_ones_own_header_stands_alone() {
    let notes = Notes::default();
    let plain = server(&notes, false, |_| with("200 OK", "")).await;
    let jar = CookieJar::new();
    jar.set("https://127.0.0.2/", "secret=1; Secure").unwrap();
    jar.set("https://localhost/", "open=2").unwrap();
    let scene = Scene::with(|session| session.cookies(&jar));
    let sister = Scene::with(|session| session.cookies(&jar));
    // The jar is shared by two sessions. Loopback counts as secure, as in browsers.
    sister.session.get(&plain.http("/shared")).send().await.unwrap().bytes().await.unwrap();
    scene.session.get(&plain.http("/own")).header("cookie", "mine=3").send().await.unwrap().bytes().await.unwrap();
    assert_eq!(notes.all(), ["/shared open=2", "/own mine=3"]);
    assert_eq!(jar.header("http://127.0.0.2/").map(|value| value.is_sensitive()), Some(true));
    jar.set("https://example.com/", "secret=1; Secure").unwrap();
    assert_eq!(jar.header("http://example.com/"), None);
    sister.exeunt().await;
    scene.exeunt().await;
}

/// What is answered before a retry sets cookies, too, and the retry sends them.
#[actix::test]
async fn a_retry_sends_what_the_first_answer_set() {
    let notes = Notes::default();
    let seen = notes.clone();
    let server = server(&notes, true, move |_| match seen.all().len() {
        1 => with("503 Later", "set-cookie: token=1\r\n"),
        _ => with("200 OK", ""),
    })
    .await;
    let retry = Retry::times(1).on_status([503]).backoff(std::time::Duration::ZERO, std::time::Duration::ZERO);
    let scene = Scene::with(|session| session.cookies(&CookieJar::new()).retry(retry));
    let response = scene.session.get(&server.https("/a")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap();
    assert_eq!(notes.all(), ["/a -", "/a token=1"]);
    scene.exeunt().await;
}
