//! Forms of parts as a session sends them.

use exeunt::http::{Form, Part};
use futures_util::{StreamExt, stream};

use super::*;
use crate::peer::{End, Server};

fn pieces(n: usize) -> impl futures_util::Stream<Item = Result<Vec<u8>, std::io::Error>> + Send {
    stream::iter(0..n).map(|_| Ok(vec![b'x'; 1024]))
}

/// What every part's length is known of has a length; what is not a stream is sent again.
#[actix::test]
async fn a_form_has_a_length_and_is_sent_again() {
    let notes = Notes::default();
    let seen = notes.clone();
    let server = Server::tls(move |mut peer, _| {
        let seen = seen.clone();
        async move {
            for answer in
                ["HTTP/1.1 307 Again\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n".to_owned(), ok("in"), ok("in")]
            {
                let head = peer.head().await;
                let length =
                    head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
                let boundary = head.split("boundary=").nth(1).unwrap().split('\r').next().unwrap().to_owned();
                let body = String::from_utf8(peer.body(length).await).unwrap();
                assert!(
                    body.starts_with(&format!("--{boundary}\r\n"))
                        && body.ends_with(&format!("\r\n--{boundary}--\r\n"))
                );
                seen.add(format!("{} {length}", head.split(' ').nth(1).unwrap()));
                peer.write(answer).await;
            }
            peer.end(End::CloseNotify).await;
        }
    })
    .await;
    let scene = Scene::new();
    let form = Form::new().text("name", "value").part("file", Part::bytes("bytes").file_name("f"));
    let response = scene.session.post(&server.https("/a")).header("content-type", "x/y").multipart(form).send().await;
    assert_eq!(response.unwrap().text().await.unwrap(), "in");
    let form = Form::new().part("file", Part::sized(pieces(100), 100 * 1024));
    let response = scene.session.post(&server.https("/c")).multipart(form).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "in");
    let notes = notes.all();
    assert_eq!(notes[0].replace("/a", "/b"), notes[1]);
    assert!(notes[2].starts_with("/c 1025"), "{notes:?}");
    scene.exeunt().await;
}

/// A stream that is not what was promised ends the connection: what follows must not be taken for the next request.
#[actix::test]
async fn a_part_of_another_length_fails_the_request() {
    let server = Server::tls(|mut peer, _| async move { peer.read_to_end().await }).await;
    let scene = Scene::new();
    for promised in [10 * 1024 - 1, 10 * 1024 + 1] {
        let form = Form::new().part("file", Part::sized(pieces(10), promised));
        let error = scene.session.post(&server.https("/")).multipart(form).send().await.unwrap_err();
        assert!(error.to_string().contains("\"file\""), "{error}");
    }
    assert_eq!(scene.exeunt().await.totals.lost, 2);
}
