//! What is answered to which path.

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use exeunt::http::{Body, RequestBody};
use futures_util::{StreamExt, stream};
use http::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue},
};
use http_body_util::{BodyExt, BodyStream, StreamBody};

use crate::{counting::Counts, files};

/// What is sent at a time of what is made up.
const CHUNK: u64 = 16 * 1024;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub struct Answers {
    root: Option<PathBuf>,
    counts: Arc<Counts>,
}

impl Answers {
    pub fn new(root: Option<PathBuf>, counts: Arc<Counts>) -> Self {
        Answers { root, counts }
    }

    pub async fn answer(self: Arc<Self>, request: Request<RequestBody>) -> Response<Body> {
        let accepted = self.counts.clone().accept(request.method(), request.uri().path());
        let head = request.method() == Method::HEAD;
        let response = self.find(request).await;
        accepted.answer(if head { without_body(response) } else { response })
    }

    async fn find(&self, request: Request<RequestBody>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let relative = path.trim_start_matches('/');
        let (first, rest) = relative.split_once('/').unwrap_or((relative, ""));
        match first {
            "echo" => echo(request).await,
            "delay" => {
                number(rest, |ms| async move {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    text(StatusCode::OK, format!("{ms} ms later\n"))
                })
                .await
            }
            "bytes" => number(rest, |n| async move { bytes(n) }).await,
            "stream" => number(rest, |n| async move { chunks(n) }).await,
            "status" => match rest.parse() {
                Ok(code @ 200..=599) => text(StatusCode::from_u16(code).unwrap_or_default(), format!("{code}\n")),
                _ => text(StatusCode::BAD_REQUEST, "a status is a number from 200 to 599\n"),
            },
            _ => self.file(request.method(), &path).await,
        }
    }

    async fn file(&self, method: &Method, path: &str) -> Response<Body> {
        let Some(root) = &self.root else { return text(StatusCode::NOT_FOUND, "there is nothing here\n") };
        if method != Method::GET && method != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "files are read\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        files::answer(root, path).await.unwrap_or_else(|| text(StatusCode::NOT_FOUND, "there is no such file\n"))
    }
}

/// Gives the number in a path to `answer`.
async fn number<T: FromStr, A: Future<Output = Response<Body>>>(
    text_of_it: &str,
    answer: impl FnOnce(T) -> A,
) -> Response<Body> {
    match text_of_it.parse() {
        Ok(number) => answer(number).await,
        Err(_) => text(StatusCode::BAD_REQUEST, "a whole number is missing at the end of the path\n"),
    }
}

fn text(status: StatusCode, words: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(words.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

async fn echo(request: Request<RequestBody>) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).cloned();
    let body = if head.headers.contains_key(EXPECT) {
        // Read before the response begins: that is what tells the client to send it.
        let first = body.frame().await;
        Body::wrap(StreamBody::new(stream::iter(first).chain(BodyStream::new(body))))
    } else {
        Body::wrap(body)
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    response
}

/// `n` bytes, with their length.
fn bytes(n: u64) -> Response<Body> {
    static ZEROS: [u8; CHUNK as usize] = [b'0'; CHUNK as usize];
    let sizes = stream::unfold(n, |left| async move {
        let size = left.min(CHUNK);
        (size > 0).then(|| (size, left - size))
    });
    let chunks = sizes.map(|size| Ok::<_, std::io::Error>(Bytes::from_static(&ZEROS[..size as usize])));
    let mut response = Response::new(if n == 0 { Body::empty() } else { Body::stream(chunks) });
    response.headers_mut().insert(CONTENT_LENGTH, n.into());
    response
}

/// `n` chunks, which come as fast as they are taken.
fn chunks(n: u64) -> Response<Body> {
    let lines = stream::iter(0..n).map(|i| Ok::<_, std::io::Error>(format!("chunk {i}\n")));
    let mut response = Response::new(Body::stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// The head of a response alone, with the length that its body would have.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = http_body::Body::size_hint(&body).exact() {
        head.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(head, Body::empty())
}
