use std::sync::{Arc, Mutex};

use futures_util::{TryStreamExt, stream};
use http_body::Frame;
use http_body_util::{Empty, Full, StreamBody};

use super::{super::decoded::BodyEnd, *};

/// What was told of the end.
type Told = Arc<Mutex<Vec<String>>>;

fn context(told: &Told) -> ResponseContext {
    let tell = Arc::clone(told);
    ResponseContext {
        uri: Uri::from_static("https://user:secret@localhost:8443/path?token=secret"),
        history: vec![Uri::from_static("https://localhost/")],
        peer: None,
        connection: ConnectionId(7),
        reused: true,
        between_reads: None,
        until: None,
        most_decoded: None,
        auto_decode: true,
        head: false,
        on_end: Some(Box::new(move |end: &BodyEnd| tell.lock().unwrap().push(format!("{end:?}")))),
    }
}

fn head(headers: &[(&str, &str)]) -> Parts {
    let response =
        headers.iter().fold(http::Response::builder(), |response, (name, value)| response.header(*name, *value));
    response.body(()).unwrap().into_parts().0
}

fn frames(frames: &[&'static str]) -> Vec<Result<Frame<Bytes>, BodyError>> {
    frames.iter().map(|data| Ok(Frame::data(Bytes::from(*data)))).collect()
}

fn streamed(frames: Vec<Result<Frame<Bytes>, BodyError>>) -> Response {
    with(&[], frames, &Told::default())
}

fn with(headers: &[(&str, &str)], frames: Vec<Result<Frame<Bytes>, BodyError>>, told: &Told) -> Response {
    of(head(headers), StreamBody::new(stream::iter(frames)), context(told))
}

/// A body that is no connection's.
fn of<B>(head: Parts, body: B, context: ResponseContext) -> Response
where
    B: Body<Data = Bytes, Error = BodyError> + Send + Sync + Unpin + 'static,
{
    Response::with(head, body, context, |body| Frames::decoded(body, Vec::new(), 0))
}

fn told(told: &Told) -> String {
    told.lock().unwrap().join(", ")
}

fn torn() -> BodyError {
    BodyError::Truncated { received: 3, expected: None, reason: None }
}

#[test]
fn it_can_be_shared_and_be_an_error() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    shared::<Response>();
    shared::<StatusError>();
    shared::<DecodedBody>();
}

#[actix::test]
async fn a_body_is_read_whole_or_in_chunks() {
    let mut response = streamed(frames(&["on", "", "e"]));
    assert_eq!((response.status(), response.connection(), response.reused()), (StatusCode::OK, ConnectionId(7), true));
    assert_eq!(response.history(), ["https://localhost/"]);
    assert_eq!(response.chunk().await, Ok(Some("on".into())));
    assert_eq!(response.chunk().await, Ok(Some("e".into())));
    assert_eq!(response.chunk().await, Ok(None));
    assert_eq!(response.chunk().await, Ok(None));
    assert_eq!(streamed(Vec::new()).bytes().await.unwrap(), "");
    assert_eq!(streamed(frames(&["one"])).bytes().await.unwrap(), "one");
    assert_eq!(streamed(frames(&["o", "n", "e"])).bytes().await.unwrap(), "one");
    let stream: Vec<_> = streamed(frames(&["o", "ne"])).into_stream().try_collect().await.unwrap();
    assert_eq!(stream, ["o", "ne"]);
    let whole = streamed(frames(&["o", "ne"])).into_http().into_body().collect().await.unwrap();
    assert_eq!(whole.to_bytes(), "one");
}

#[actix::test]
async fn a_limit_is_a_limit_whatever_the_peer_says() {
    let too_large = Err(BodyError::TooLarge { limit: 2 });
    assert_eq!(streamed(frames(&["o", "ne"])).bytes_at_most(3).await.unwrap(), "one");
    for parts in [&["one"][..], &["o", "ne"], &["on", "e"]] {
        assert_eq!(streamed(frames(parts)).bytes_at_most(2).await, too_large);
    }
    let told = Told::default();
    let announced = Full::new(Bytes::from("one")).map_err(|never| match never {});
    let response = of(head(&[]), announced, context(&told));
    assert_eq!(response.bytes_at_most(2).await, too_large);
    assert_eq!(self::told(&told), "Dropped { received: 0 }", "refused without reading");
}

/// Law 5: no silent truncation.
#[actix::test]
async fn half_a_body_is_an_error_in_every_way_to_read_it() {
    let half = || {
        let mut frames = frames(&["one"]);
        frames.push(Err(torn()));
        streamed(frames)
    };
    assert_eq!(half().bytes().await, Err(torn()));
    assert_eq!(half().text().await, Err(torn()));
    assert_eq!(half().into_stream().try_collect::<Vec<_>>().await, Err(torn()));
    #[cfg(feature = "json")]
    assert_eq!(half().json::<u8>().await, Err(torn()));
    let mut response = half();
    assert_eq!(response.chunk().await, Ok(Some("one".into())));
    assert_eq!(response.chunk().await, Err(torn()));
    assert_eq!(response.chunk().await, Ok(None), "after an error it is over");
}

#[actix::test]
async fn the_end_is_told_once() {
    let read = Told::default();
    let mut response = with(&[], frames(&["o", "ne"]), &read);
    assert_eq!(response.chunk().await, Ok(Some("o".into())));
    assert_eq!(told(&read), "");
    while response.chunk().await.unwrap().is_some() {}
    assert_eq!(told(&read), "Read { received: 3 }");
    drop(response);
    assert_eq!(told(&read), "Read { received: 3 }");

    let dropped = Told::default();
    let mut response = with(&[], frames(&["o", "ne"]), &dropped);
    assert_eq!(response.chunk().await, Ok(Some("o".into())));
    drop(response.into_body());
    assert_eq!(told(&dropped), "Dropped { received: 1 }");

    let failed = Told::default();
    let mut response = with(&[], vec![Ok(Frame::data("one".into())), Err(torn())], &failed);
    while let Ok(Some(_)) = response.chunk().await {}
    drop(response);
    assert_eq!(told(&failed), format!("Failed {{ error: {:?}, received: 3 }}", torn()));

    // It is known to be over before anybody has asked.
    let empty = Told::default();
    let body = Empty::new().map_err(|never| match never {});
    let _response = of(head(&[]), body, context(&empty));
    assert_eq!(told(&empty), "Read { received: 0 }");
    let last = Told::default();
    let body = Full::new(Bytes::from("one")).map_err(|never| match never {});
    let mut response = of(head(&[]), body, context(&last));
    assert_eq!(response.chunk().await, Ok(Some("one".into())));
    assert_eq!(told(&last), "Read { received: 3 }");
}

#[actix::test]
async fn trailers_are_there_after_the_end() {
    let mut trailers = HeaderMap::new();
    trailers.insert("digest", "x".parse().unwrap());
    let mut frames = frames(&["one"]);
    frames.push(Ok(Frame::trailers(trailers.clone())));
    let mut response = streamed(frames);
    assert_eq!(response.trailers(), None);
    while response.chunk().await.unwrap().is_some() {}
    assert_eq!(response.trailers(), Some(&trailers));
}

#[actix::test]
async fn text_is_in_the_charset_of_the_headers_as_they_are() {
    let mut response = streamed(vec![Ok(Frame::data(Bytes::from_static(b"\xEF\xBB\xBFgr\xC3\xB6\xC3\x9Fer")))]);
    response.headers_mut().insert(CONTENT_TYPE, "text/plain; charset=utf-8".parse().unwrap());
    assert_eq!(response.text().await.unwrap(), "größer");
    let response = with(&[("content-type", "text/plain; charset=no-such")], frames(&["a"]), &Told::default());
    assert_eq!(response.text().await, Err(BodyError::Charset("no-such".into())));
}

#[cfg(feature = "json")]
#[actix::test]
async fn json_is_read_or_says_where_it_is_wrong() {
    assert_eq!(streamed(frames(&["[1,", "2]"])).json::<Vec<u8>>().await.unwrap(), [1, 2]);
    assert_eq!(streamed(frames(&["\u{FEFF}1"])).json::<u8>().await.unwrap(), 1);
    let wrong = streamed(frames(&["[1,\n2"])).json::<Vec<u8>>().await.unwrap_err();
    assert!(matches!(&wrong, BodyError::Json(words) if words.contains("line 2")), "{wrong}");
}

#[actix::test]
async fn a_status_is_an_error_when_asked_and_its_body_can_be_read() {
    for (status, is_error) in [(200, false), (304, false), (399, false), (400, true), (404, true), (599, true)] {
        let mut response = streamed(frames(&["no such thing"]));
        response.0.head.status = StatusCode::from_u16(status).unwrap();
        let result = response.error_for_status();
        assert_eq!(result.is_err(), is_error, "{status}");
        let Err(error) = result else { continue };
        assert_eq!(error.status(), status);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("https://localhost:8443/path") && !shown.contains("secret"), "{shown}");
        assert_eq!(error.into_response().text().await.unwrap(), "no such thing");
    }
}

#[cfg(feature = "gzip")]
mod encoded {
    use http::header::CONTENT_ENCODING;

    use super::*;

    /// `printf one | gzip -n`.
    const ONE: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\xcf\x4b\x05\x00\xf1\x86\x6c\x7a\x03\x00\x00\x00";
    const HEADERS: &[(&str, &str)] = &[("content-encoding", "gzip"), ("content-length", "23")];

    fn one() -> Vec<Result<Frame<Bytes>, BodyError>> {
        vec![Ok(Frame::data(Bytes::from_static(ONE)))]
    }

    #[actix::test]
    async fn it_is_decoded_and_the_headers_say_so() {
        let end = Told::default();
        let response = with(HEADERS, one(), &end);
        assert!(response.headers().is_empty() && response.content_length().is_none());
        assert_eq!(response.bytes().await.unwrap(), "one");
        assert_eq!(told(&end), format!("Read {{ received: {} }}", ONE.len()), "as it was sent");
    }

    #[actix::test]
    async fn it_is_left_alone_when_nothing_is_to_be_decoded() {
        let mut unasked = context(&Told::default());
        unasked.auto_decode = false;
        let response = of(head(HEADERS), StreamBody::new(stream::iter(one())), unasked);
        assert_eq!(
            (response.headers()[CONTENT_ENCODING].as_bytes(), response.content_length()),
            (&b"gzip"[..], Some(23))
        );
        assert_eq!(response.bytes().await.unwrap(), ONE);
        // HEAD, 204 and 304 have a body that has ended.
        let empty = Empty::new().map_err(|never| match never {});
        let response = of(head(HEADERS), empty, context(&Told::default()));
        assert_eq!(response.content_length(), Some(23));
        assert_eq!(response.bytes().await.unwrap(), "");
    }

    #[actix::test]
    async fn what_it_decodes_to_has_a_limit() {
        let end = Told::default();
        let mut limited = context(&end);
        limited.most_decoded = Some(2);
        let response = of(head(HEADERS), StreamBody::new(stream::iter(one())), limited);
        assert_eq!(response.bytes().await, Err(BodyError::TooLarge { limit: 2 }));
        assert!(told(&end).starts_with("Failed { error: TooLarge"), "{}", told(&end));
    }

    #[actix::test]
    async fn an_encoded_body_that_is_empty_is_empty() {
        let end = Told::default();
        assert_eq!(with(HEADERS, Vec::new(), &end).bytes().await.unwrap(), "");
        assert_eq!(told(&end), "Read { received: 0 }");
    }
}
