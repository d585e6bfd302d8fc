//! What a body's `Content-Encoding` asks for, and what is offered of it.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
    response::Parts,
};
use http_body_util::{BodyExt, combinators::BoxBody};

use super::incoming::BodyError;

/// How much a body may decode to, if nobody says otherwise: 1 GiB. Chosen arbitrarily: more than anybody reads without having thought of it, and a second's work for a bomb.
pub(super) const MOST_DECODED: u64 = 1 << 30;

/// How many encodings, one in the other, are undone: as many as curl (CVE-2023-23916) and urllib3 (CVE-2025-66418) do since somebody made them undo thousands.
const MOST_ENCODINGS: usize = 5;

/// An encoding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    #[cfg(feature = "gzip")]
    Gzip,
    #[cfg(feature = "deflate")]
    Deflate,
    #[cfg(feature = "brotli")]
    Brotli,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Encoding {
    /// Those that there are, the best known first.
    pub(super) const ALL: &'static [Encoding] = &[
        #[cfg(feature = "gzip")]
        Encoding::Gzip,
        #[cfg(feature = "deflate")]
        Encoding::Deflate,
        #[cfg(feature = "brotli")]
        Encoding::Brotli,
        #[cfg(feature = "zstd")]
        Encoding::Zstd,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "gzip")]
            Encoding::Gzip => "gzip",
            #[cfg(feature = "deflate")]
            Encoding::Deflate => "deflate",
            #[cfg(feature = "brotli")]
            Encoding::Brotli => "br",
            #[cfg(feature = "zstd")]
            Encoding::Zstd => "zstd",
        }
    }

    fn of_name(name: &str) -> Option<Encoding> {
        // RFC 9110, section 8.4.1.3.
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Encoding::ALL.iter().copied().find(|encoding| encoding.name().eq_ignore_ascii_case(name))
    }
}

/// What is offered in requests: the encodings that can be undone. `None`: there are none. A request with a `Range` should not offer them, since what it then gets is a range of the encoded bytes.
pub(crate) fn accept_encoding() -> Option<HeaderValue> {
    let names: Vec<_> = Encoding::ALL.iter().map(|encoding| encoding.name()).collect();
    if names.is_empty() {
        return None;
    }
    HeaderValue::from_str(&names.join(", ")).ok()
}

/// The encodings of a body, in the order in which they were applied; the headers that are true of the encoded body alone are taken from the head. Empty, and the head as it was, when there is nothing to do or
/// something in between cannot be undone.
pub(super) fn take_encodings(head: &mut Parts) -> Vec<Encoding> {
    // A range is one of the encoded bytes (RFC 9110, section 14.2), and a decoder wants the beginning.
    if head.status == StatusCode::PARTIAL_CONTENT {
        return Vec::new();
    }
    let encodings = encodings(&head.headers).unwrap_or_default();
    if !encodings.is_empty() {
        head.headers.remove(CONTENT_ENCODING);
        head.headers.remove(CONTENT_LENGTH);
    }
    encodings
}

fn encodings(headers: &HeaderMap) -> Option<Vec<Encoding>> {
    let mut encodings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            encodings.push(Encoding::of_name(name)?);
            if encodings.len() > MOST_ENCODINGS {
                return None;
            }
        }
    }
    Some(encodings)
}

/// For the fuzz target of the decoders, which has no connection for each body: this one, as a response with this `Content-Encoding` has it.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn decoded_for_fuzzing<B>(body: B, encoding: &str, limit: u64) -> BoxBody<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Send + Sync + Unpin + 'static,
{
    let headers = HeaderValue::from_str(encoding).map(|value| HeaderMap::from_iter([(CONTENT_ENCODING, value)]));
    around(body, encodings(&headers.unwrap_or_default()).unwrap_or_default(), limit)
}

/// The body with a decoder around it for each encoding: what was applied last is undone first.
pub(super) fn around<B>(body: B, encodings: Vec<Encoding>, limit: u64) -> BoxBody<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Send + Sync + Unpin + 'static,
{
    encodings.into_iter().rev().fold(body.boxed(), |body, encoding| decoder(body, encoding, limit))
}

#[cfg(feature = "_decode")]
fn decoder(body: BoxBody<Bytes, BodyError>, encoding: Encoding, limit: u64) -> BoxBody<Bytes, BodyError> {
    super::decoder::Decoder::new(body, encoding, limit).boxed()
}

#[cfg(not(feature = "_decode"))]
fn decoder(_: BoxBody<Bytes, BodyError>, encoding: Encoding, _: u64) -> BoxBody<Bytes, BodyError> {
    match encoding {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, values: &[&[u8]]) -> Parts {
        let mut response = http::Response::builder().status(status).header(CONTENT_LENGTH, "7");
        for value in values {
            response = response.header(CONTENT_ENCODING, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn the_headers_go_with_the_encoding() {
        for (values, names) in [
            (&[&b"gzip"[..]][..], "gzip"),
            (&[b"X-GZip"], "gzip"),
            (&[b"gzip, identity,, GZIP"], "gzip gzip"),
            (&[b"gzip", b"gzip"], "gzip gzip"),
            (&[b"gzip,gzip,gzip,gzip,gzip"], "gzip gzip gzip gzip gzip"),
        ] {
            let mut head = head(200, values);
            let found: Vec<_> = take_encodings(&mut head).iter().map(|encoding| encoding.name()).collect();
            assert_eq!(found.join(" "), names);
            assert!(head.headers.is_empty(), "{:?}", head.headers);
        }
    }

    #[test]
    fn what_cannot_be_decoded_stays_as_it_is() {
        for (status, values) in [
            (200, &[][..]),
            (200, &[&b"identity"[..]][..]),
            (200, &[b"x-unknown"]),
            (200, &[b"gzip, x-unknown"]),
            (200, &[b"gzip", b"\xFF"]),
            (200, &[b"gzip,gzip,gzip,gzip,gzip,gzip"]),
            (206, &[b"gzip"]),
        ] {
            let mut head = head(status, values);
            let before = head.headers.clone();
            assert_eq!(take_encodings(&mut head), [], "{values:?}");
            assert_eq!(head.headers, before);
        }
    }

    #[test]
    fn what_is_offered_is_what_is_decoded() {
        let offer = accept_encoding();
        assert_eq!(offer.is_some(), cfg!(feature = "_decode"));
        for name in offer.iter().flat_map(|offer| offer.to_str().unwrap().split(", ")) {
            assert!(Encoding::of_name(name).is_some(), "{name}");
        }
        #[cfg(all(feature = "gzip", feature = "deflate", feature = "brotli", feature = "zstd"))]
        assert_eq!(offer.unwrap(), "gzip, deflate, br, zstd");
    }
}
