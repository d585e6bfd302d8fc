//! Where a redirect leads, and what is asked there: RFC 9110, section 15.4. Pure.

use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, LOCATION,
        PROXY_AUTHORIZATION, TRANSFER_ENCODING,
    },
};

use crate::http::RedirectError;

/// Whether the status is one that leads elsewhere.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The method there, and whether the body is sent again.
///
/// As the browsers have it (and section 15.4.2 allows): 301 and 302 make a POST a GET; 303 makes everything a GET but HEAD; 307 and 308 change nothing.
pub(super) fn method(status: StatusCode, method: &Method) -> (Method, bool) {
    match (status.as_u16(), method) {
        (303, &Method::HEAD) => (Method::HEAD, false),
        (303, _) | (301 | 302, &Method::POST) => (Method::GET, false),
        _ => (method.clone(), true),
    }
}

/// Where it leads: the `Location`, relative to where we are. Its fragment is not sent, and ours is not kept.
pub(super) fn target(from: &Uri, headers: &HeaderMap) -> Result<Uri, RedirectError> {
    let location = headers.get(LOCATION).ok_or_else(|| RedirectError::Location("it names no Location".into()))?;
    // Some servers send UTF-8 as it is, which the URL standard knows how to encode.
    let location = String::from_utf8_lossy(location.as_bytes());
    let wrong = |words: &dyn std::fmt::Display| RedirectError::Location(format!("{location:?}: {words}"));
    let base = url::Url::parse(&from.to_string()).map_err(|error| wrong(&error))?;
    let url = base.join(&location).map_err(|error| wrong(&error))?;
    to_uri(url).map_err(|words| wrong(&words))
}

/// A URL as it is asked for.
pub(super) fn to_uri(mut url: url::Url) -> Result<Uri, String> {
    url.set_fragment(None);
    url.as_str().parse().map_err(|error: http::uri::InvalidUri| error.to_string())
}

/// Takes out of the headers what does not belong there any more. `same_origin`: credentials may go along.
pub(super) fn strip(headers: &mut HeaderMap, keeps_body: bool, same_origin: bool) {
    // Both are written anew.
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    if !keeps_body {
        for name in [CONTENT_TYPE, CONTENT_ENCODING, TRANSFER_ENCODING, EXPECT] {
            headers.remove(name);
        }
    }
    if !same_origin {
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_bodies() {
        let table = [
            (301, "POST", "GET", false),
            (301, "GET", "GET", true),
            (301, "PUT", "PUT", true),
            (302, "POST", "GET", false),
            (303, "POST", "GET", false),
            (303, "PUT", "GET", false),
            (303, "HEAD", "HEAD", false),
            (307, "POST", "POST", true),
            (308, "POST", "POST", true),
        ];
        for (status, from, to, keeps) in table {
            let (method, keeps_body) = method(StatusCode::from_u16(status).unwrap(), &from.parse().unwrap());
            assert_eq!((method.as_str(), keeps_body), (to, keeps), "{status} {from}");
        }
    }

    #[test]
    fn locations() {
        let from: Uri = "https://example.com/a/b?c".parse().unwrap();
        let to = |location: &str| {
            let value = http::HeaderValue::from_bytes(location.as_bytes()).unwrap();
            target(&from, &HeaderMap::from_iter([(LOCATION, value)])).map(|uri| uri.to_string())
        };
        for (location, expected) in [
            ("/x", "https://example.com/x"),
            ("x", "https://example.com/a/x"),
            ("?d", "https://example.com/a/b?d"),
            ("//other.org/x", "https://other.org/x"),
            ("http://other.org", "http://other.org/"),
            ("/with space#part", "https://example.com/with%20space"),
            ("/ü", "https://example.com/%C3%BC"),
        ] {
            assert_eq!(to(location).unwrap(), expected, "{location}");
        }
        assert!(to("https://[").is_err());
        assert!(target(&from, &HeaderMap::new()).is_err());
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let headers = || {
            let names = [AUTHORIZATION, COOKIE, CONTENT_TYPE, HOST, http::header::ACCEPT];
            HeaderMap::from_iter(names.map(|name| (name, http::HeaderValue::from_static("x"))))
        };
        let mut same = headers();
        strip(&mut same, true, true);
        assert_eq!(same.len(), 4);
        let mut other = headers();
        strip(&mut other, false, false);
        assert_eq!(other.keys().collect::<Vec<_>>(), [http::header::ACCEPT]);
    }
}
