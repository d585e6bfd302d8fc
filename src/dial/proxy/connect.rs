//! CONNECT: RFC 9110, section 9.3.6. hyper writes the request and reads the response, in this one future.

use std::{error::Error as StdError, future::poll_fn, io, pin::pin, task::Poll};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{HOST, PROXY_AUTHENTICATE},
};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http1::Builder};
use hyper_util::rt::TokioIo;

use super::{Proxy, prefixed::Prefixed, way::of_socket};
use crate::{dial::Target, fate::ProxyFailure, tls::Socket};

/// The head of a proxy's answer, and what may come behind it before the tunnel is spoken through. hyper takes no less than 8 KiB.
const MOST_READ: usize = 16 * 1024;

pub(super) async fn connect(proxy: &Proxy, target: &Target, socket: Socket) -> Result<Socket, ProxyFailure> {
    let handshake = Builder::new().max_buf_size(MOST_READ).handshake(TokioIo::new(socket)).await;
    let (mut sender, mut connection) = handshake.map_err(|error| failure(&error))?;
    let mut asked = pin!(sender.send_request(request(proxy, target)?));
    let mut response = None;
    // The response is there before hyper has let go of the connection.
    let done = poll_fn(|cx| {
        let done = connection.poll_without_shutdown(cx);
        if response.is_none()
            && let Poll::Ready(answer) = asked.as_mut().poll(cx)
        {
            response = Some(answer);
        }
        match &response {
            // hyper's own word on the connection is the better one.
            Some(Err(_)) if matches!(done, Poll::Ready(Err(_))) => done,
            Some(Ok(response)) if response.status().is_success() => done,
            Some(_) => Poll::Ready(Ok(())),
            None => done,
        }
    });
    done.await.map_err(|error| failure(&error))?;
    match response {
        Some(Ok(response)) if response.status().is_success() => {
            let parts = connection.into_parts();
            Ok(Prefixed::socket(parts.read_buf, parts.io.into_inner()))
        }
        Some(Ok(response)) => Err(refused(&response, target)),
        Some(Err(error)) => Err(failure(&error)),
        None => Err(ProxyFailure::Eof),
    }
}

fn request(proxy: &Proxy, target: &Target) -> Result<Request<Empty<Bytes>>, ProxyFailure> {
    // A target is a host and a port, and so is an authority.
    let wrong =
        |error: &dyn std::fmt::Display| ProxyFailure::Protocol(format!("it cannot be asked for {target}: {error}"));
    let authority = target.to_string();
    let host = HeaderValue::try_from(authority.as_str()).map_err(|error| wrong(&error))?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority.parse().map_err(|error| wrong(&error))?;
    *request.headers_mut() = proxy.headers();
    request.headers_mut().entry(HOST).or_insert(host);
    Ok(request)
}

fn refused(response: &Response<Incoming>, target: &Target) -> ProxyFailure {
    let status = response.status();
    let advice = match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => match schemes(response).as_str() {
            "" => ": give it a user and a password, as in http://user:password@host:port".to_owned(),
            basic if basic.to_ascii_lowercase().contains("basic") => {
                ": give it the right user and password, as in http://user:password@host:port".to_owned()
            }
            other => format!(": it wants authorization by {other}, for which it needs a header of your own"),
        },
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => {
            ": its own rules forbid this host or this port".to_owned()
        }
        // tinyproxy says 500 where others say 502.
        StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => ": it could not connect to the host".to_owned(),
        _ => String::new(),
    };
    ProxyFailure::Refused {
        status: Some(status.as_u16()),
        message: format!("it answered {status} when asked for a tunnel to {target}{advice}"),
    }
}

/// The schemes that it names, and nothing else of what it says: a word for a log.
fn schemes(response: &Response<Incoming>) -> String {
    let challenges = response.headers().get_all(PROXY_AUTHENTICATE).iter();
    let scheme = |value: &HeaderValue| value.to_str().ok()?.split_ascii_whitespace().next().map(String::from);
    challenges.filter_map(scheme).take(4).collect::<Vec<_>>().join(", ").chars().take(80).collect()
}

fn failure(error: &hyper::Error) -> ProxyFailure {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return of_socket(error);
        }
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return ProxyFailure::Eof;
    }
    // hyper's predicate for it comes with its server.
    let words = error.to_string();
    ProxyFailure::Protocol(match words.contains("too large") {
        true => format!("the head of its answer is longer than {MOST_READ} bytes"),
        false => words,
    })
}
