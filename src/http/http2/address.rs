//! To whom a request goes.

use http::{
    Method, Request, Uri, Version,
    header::{HOST, HeaderValue},
    uri::{Authority, PathAndQuery, Scheme},
};

/// What HTTP/1.1 says by a target and a `Host` header, HTTP/2 says by a scheme, an authority and a path (RFC 9113, section 8.3.1).
/// `name`: of the peer, where the request names none.
pub(in crate::http) fn address<B>(request: &mut Request<B>, secure: bool, name: &str) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    if request.method() == Method::CONNECT || (host.is_none() && request.uri().authority().is_some()) {
        return;
    }
    let host = host.or_else(|| HeaderValue::from_str(name).ok());
    let Some(authority) = host.and_then(|host| Authority::try_from(host.as_bytes()).ok()) else { return };
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme.get_or_insert(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
