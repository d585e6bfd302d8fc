use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Request, header::CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::*;
use crate::http::Body;

fn request(body: Body) -> Request<Body> {
    let content_type = body.content_type().unwrap();
    Request::post("/").header(CONTENT_TYPE, content_type).body(body).unwrap()
}

/// What a peer sends, cut in pieces of this size.
fn sent(bytes: &str, size: usize) -> Request<Body> {
    let pieces: Vec<_> = bytes.as_bytes().chunks(size).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let request = Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=B");
    request.body(Body::stream(stream::iter(pieces))).unwrap()
}

async fn read(mut form: Multipart) -> Result<Vec<(String, String)>, MultipartError> {
    let mut fields = Vec::new();
    while let Some(field) = form.next().await? {
        let name = field.name().unwrap_or_default().to_owned();
        fields.push((name, field.text().await?));
    }
    Ok(fields)
}

fn chunks(chunks: &'static [&'static str]) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send {
    stream::iter(chunks).map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())))
}

#[actix::test]
async fn a_form_is_written_as_browsers_do() {
    let image = Part::bytes("png").file_name("a \"b\"\r\nü.png").content_type(HeaderValue::from_static("image/png"));
    let form = Form::new().text("a\"b\n", "one\r\n").part("file", image).part("raw", Part::text("").file_name("x"));
    let boundary = form.boundary().to_owned();
    let body = Body::from(form);
    assert_eq!(body.content_type().unwrap(), format!("multipart/form-data; boundary={boundary}"));
    let again = body.try_clone().expect("bytes are there again");
    let exact = body.size_hint().exact().unwrap();
    let written = body.collect().await.unwrap().to_bytes();
    let expected = [
        "--B\r\nContent-Disposition: form-data; name=\"a%22b%0A\"\r\n\r\none\r\n\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a %22b%22%0D%0Aü.png\"\r\nContent-Type: image/png\r\n\r\npng\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"raw\"; filename=\"x\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n",
        "--B--\r\n",
    ];
    assert_eq!(written, expected.concat().replace("--B", &format!("--{boundary}")));
    assert_eq!(exact, written.len() as u64);
    assert_eq!(again.collect().await.unwrap().to_bytes(), written);
    assert_ne!(Form::new().boundary(), boundary);
}

#[actix::test]
async fn a_stream_has_a_length_when_it_was_promised() {
    let form = |part| Body::from(Form::new().text("a", "1").part("s", part));
    let sized = form(Part::sized(chunks(&["ab", "", "cde"]), 5));
    assert!(sized.try_clone().is_none());
    let exact = sized.size_hint().exact().unwrap();
    assert_eq!(sized.collect().await.unwrap().to_bytes().len() as u64, exact);
    let open = form(Part::stream(chunks(&["ab"])));
    assert_eq!(open.size_hint().exact(), None);
    assert_eq!(read(Multipart::of(request(open)).unwrap()).await.unwrap()[1], ("s".into(), "ab".into()));
    for (length, words) in [(4, "more"), (6, "fewer")] {
        let error = form(Part::sized(chunks(&["ab", "cde"]), length)).collect().await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(form(Part::sized(chunks(&[]), u64::MAX)).size_hint().exact(), None);
}

const FORM: &str = "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--\r\n--A\r\n--B \r\ncontent-disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\nContent-Type: text/plain\r\n\r\n\r\n--B--\r\nepilogue";

#[actix::test]
async fn a_form_is_read_however_it_is_cut() {
    for size in 1..FORM.len() {
        let fields = read(Multipart::of(sent(FORM, size)).unwrap()).await.unwrap();
        assert_eq!(fields, [("a".to_owned(), "1\r\n--\r\n--A".to_owned()), ("f".into(), String::new())], "{size}");
    }
    let mut form = Multipart::of(sent(FORM, 7)).unwrap();
    // The first is passed over.
    assert_eq!(form.next().await.unwrap().unwrap().name(), Some("a"));
    let mut field = form.next().await.unwrap().unwrap();
    assert_eq!((field.file_name(), field.content_type()), (Some("f.txt"), Some("text/plain")));
    while field.chunk().await.unwrap().is_some() {}
    drop(field);
    assert!(form.next().await.unwrap().is_none());
}

/// Law 5: what ends before its last boundary is not a form.
#[actix::test]
async fn a_form_that_is_cut_short_is_an_error() {
    let whole = FORM.find("--B--").unwrap() + 4;
    for length in 0..whole {
        let error = read(Multipart::of(sent(&FORM[..length], 64)).unwrap()).await.unwrap_err();
        assert!(matches!(error, MultipartError::Malformed(_)), "{length}: {error:?}");
    }
    let failing = stream::iter([Ok(FORM[..80].to_owned()), Err(std::io::Error::other("gone"))]);
    let failing =
        Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=B").body(Body::stream(failing));
    let error = read(Multipart::of(failing.unwrap()).unwrap()).await.unwrap_err();
    assert!(matches!(&error, MultipartError::Body(error) if error.to_string() == "gone"), "{error:?}");
}

#[actix::test]
async fn limits_hold_and_say_which() {
    let limits = MultipartLimits { field: 100, total: 100_000, fields: 2 };
    let form = |form: Form| read(Multipart::within(request(form.into()), limits).unwrap());
    assert_eq!(form(Form::new().text("a", "x".repeat(100)).text("b", "")).await.unwrap().len(), 2);
    let error = form(Form::new().text("a", "x".repeat(101))).await.unwrap_err();
    assert!(matches!(&error, MultipartError::TooLarge { limit: 100, field: Some(field) } if field == "a"), "{error:?}");
    let error = form(Form::new().text("a", "").text("b", "").text("c", "")).await.unwrap_err();
    assert!(matches!(error, MultipartError::TooMany { limit: 2 }), "{error:?}");
    let large = MultipartLimits { total: 1000, ..MultipartLimits::default() };
    let error = read(Multipart::within(request(Form::new().text("a", "x".repeat(1000)).into()), large).unwrap()).await;
    assert!(matches!(error, Err(MultipartError::TooLarge { limit: 1000, field: None })), "{error:?}");
}

/// Law 8: a peer that sends no head does not have all that it sends held.
#[actix::test]
async fn what_stands_in_place_of_a_head_is_bounded() {
    for before in ["", "--B\r\n", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\nx: "] {
        let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = taken.clone();
        let endless = stream::repeat("x".repeat(1000)).map(move |piece| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::io::Error>(piece)
        });
        let body = Body::stream(stream::iter([Ok(before.to_owned())]).chain(endless));
        let request = Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=B").body(body).unwrap();
        let error = read(Multipart::of(request).unwrap()).await.unwrap_err();
        assert!(matches!(error, MultipartError::Malformed(_)), "{before}: {error:?}");
        assert!(taken.load(std::sync::atomic::Ordering::Relaxed) < 20, "{before}");
    }
}

#[test]
fn what_is_no_form_says_so() {
    for content_type in [
        "text/plain",
        "multipart/mixed; boundary=B",
        "multipart/form-data",
        "multipart/form-data; boundary=\"\"",
        "no type",
    ] {
        let request = Request::post("/").header(CONTENT_TYPE, content_type).body(Body::empty()).unwrap();
        assert!(matches!(Multipart::of(request), Err(MultipartError::NotMultipart(_))), "{content_type}");
    }
    assert!(matches!(Multipart::of(Request::new(Body::empty())), Err(MultipartError::NotMultipart(_))));
}
