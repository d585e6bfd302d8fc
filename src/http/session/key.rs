//! What makes two connections different: only requests of the same key share one.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::via::Via;
use crate::{
    dial::Proxy,
    http::{Error, Versions},
    tls::ClientTls,
};

/// The key of the pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Key(Arc<Inner>);

struct Inner {
    secure: bool,
    /// In lower case, an IPv6 address in its brackets.
    host: Box<str>,
    port: u16,
    /// The authority that it was made of, letter by letter.
    spelled: Box<str>,
    server_name: Option<Box<str>>,
    /// What the `Host` header says: the port only where it is not the scheme's own (RFC 9110, section 7.2).
    host_header: Option<HeaderValue>,
    versions: Versions,
    hash: u64,
    /// `None`: the default. It stands for trust, client certificate and every TLS option: two configurations that were built apart share nothing.
    tls: Option<ClientTls>,
    via: Via,
}

/// Why a URI is none that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    Scheme,
    Host,
    Port,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::Scheme => "it must begin with https:// or http://",
            Unfit::Host => "it has no host",
            Unfit::Port => "its port is not between 1 and 65535",
        })
    }
}

impl Key {
    pub(super) fn of(
        uri: &Uri,
        tls: Option<&ClientTls>,
        server_name: Option<&str>,
        via: Via,
        versions: Versions,
    ) -> Result<Key, Unfit> {
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(Unfit::Scheme),
        };
        let authority = uri.authority().ok_or(Unfit::Host)?;
        let host = authority.host();
        if host.is_empty() {
            return Err(Unfit::Host);
        }
        let port = port(authority, secure)?;
        let host: Box<str> = host.to_ascii_lowercase().into();
        let own = if secure { 443 } else { 80 };
        let host_header =
            if port == own { HeaderValue::from_str(&host) } else { HeaderValue::try_from(format!("{host}:{port}")) };
        let mut hasher = DefaultHasher::new();
        (&host, port, secure, &via).hash(&mut hasher);
        Ok(Key(Arc::new(Inner {
            secure,
            host,
            port,
            spelled: authority.as_str().into(),
            host_header: host_header.ok(),
            hash: hasher.finish(),
            // Without TLS nobody can be asked, and of a proxy nothing is known.
            versions: match (versions, &via) {
                _ if secure => versions,
                (Versions::Auto, _) | (_, Via::Proxy(_)) => Versions::Http1,
                _ => versions,
            },
            // Without TLS neither means anything.
            server_name: server_name.filter(|_| secure).map(Into::into),
            tls: tls.filter(|_| secure).cloned(),
            via,
        })))
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.0.secure
    }

    pub(crate) fn versions(&self) -> Versions {
        self.0.versions
    }

    /// Whether a connection may turn out to bear more than one exchange.
    pub(crate) fn may_multiplex(&self) -> bool {
        cfg!(feature = "http2") && self.0.versions != Versions::Http1
    }

    /// Whether it bears more than one in any case.
    #[cfg(feature = "http2")]
    pub(crate) fn is_http2(&self) -> bool {
        self.may_multiplex() && self.0.versions != Versions::Auto
    }

    pub(crate) fn tls(&self) -> Option<&ClientTls> {
        self.0.tls.as_ref()
    }

    pub(super) fn via(&self) -> &Via {
        &self.0.via
    }

    /// The HTTP proxy that is sent plain requests as they are, in absolute form (RFC 9112, section 3.2.2). What is to be TLS goes through a tunnel, and is none of its business.
    pub(crate) fn forwarding_proxy(&self) -> Option<&Proxy> {
        match &self.0.via {
            Via::Proxy(proxy) if !self.0.secure && proxy.is_http() => Some(proxy),
            _ => None,
        }
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// The host, an IPv6 address in its brackets.
    #[cfg(unix)]
    pub(crate) fn host(&self) -> &str {
        &self.0.host
    }

    /// `host:port`, to be dialled.
    pub(crate) fn target(&self) -> String {
        format!("{}:{}", self.0.host, self.0.port)
    }

    /// This path as a proxy is asked for it.
    pub(super) fn absolute(&self, path: PathAndQuery) -> Result<Uri, Error> {
        let scheme = if self.0.secure { Scheme::HTTPS } else { Scheme::HTTP };
        // Without user and password: they are in the headers, if anywhere.
        let authority = self.0.host_header.as_ref().map_or(&[][..], HeaderValue::as_bytes);
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        uri.map_err(|error| Error::request(format!("the URL for the proxy: {error}")))
    }

    pub(crate) fn host_header(&self) -> Option<&HeaderValue> {
        self.0.host_header.as_ref()
    }

    /// Whether this is the key of that URI, when nothing but the URI and the versions are given, as it was when this key was made.
    pub(crate) fn is_of(&self, uri: &Uri, versions: Versions) -> bool {
        let of = |authority: &Authority| {
            // Mostly it is the same one again; to take it apart costs ten times as much.
            *authority.as_str() == *self.0.spelled
                || (authority.host().eq_ignore_ascii_case(&self.0.host)
                    && port(authority, self.0.secure) == Ok(self.0.port))
        };
        let versions = if versions == Versions::Auto && !self.0.secure { Versions::Http1 } else { versions };
        self.0.server_name.is_none()
            && self.0.tls.is_none()
            && self.0.versions == versions
            && uri.scheme() == Some(if self.0.secure { &Scheme::HTTPS } else { &Scheme::HTTP })
            && uri.authority().is_some_and(of)
    }

    /// Whether credentials for one may be shown to the other: same scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Key) -> bool {
        let origin = |key: &Key| (key.0.secure, key.0.port);
        origin(self) == origin(other) && self.0.host == other.0.host
    }

    fn tls_identity(&self) -> Option<usize> {
        // The key keeps the configuration alive, so that no other takes its address.
        self.0.tls.as_ref().map(ClientTls::identity)
    }
}

fn port(authority: &Authority, secure: bool) -> Result<u16, Unfit> {
    match authority.port_u16() {
        Some(0) => Err(Unfit::Port),
        Some(port) => Ok(port),
        // `host:` is the scheme's own port (RFC 3986, section 6.2.3); anything else that is no number was refused when the URI was parsed, or is too great.
        None => match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => Err(Unfit::Port),
            _ => Ok(if secure { 443 } else { 80 }),
        },
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.same_origin(other)
                && self.0.server_name == other.0.server_name
                && self.0.via == other.0.via
                && self.0.versions == other.0.versions
                && self.tls_identity() == other.tls_identity())
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.0.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.0.host, self.0.port)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str) -> Result<Key, Unfit> {
        Key::of(&uri.parse().unwrap(), None, None, Via::Direct, Versions::Auto)
    }

    #[test]
    fn equal_in_every_spelling_and_different_in_each_part() {
        let same = ["https://Example.com/", "https://example.com:443/a?b", "https://u:p@EXAMPLE.com:443"];
        for uri in same {
            assert_eq!(key(uri), key("https://example.com"), "{uri}");
        }
        for other in ["http://example.com", "https://example.org", "https://example.com:444", "http://example.com:443"]
        {
            assert_ne!(key(other), key("https://example.com"), "{other}");
        }
        let named =
            Key::of(&"https://example.com".parse().unwrap(), None, Some("other.com"), Via::Direct, Versions::Auto)
                .unwrap();
        assert_ne!(named, key("https://example.com").unwrap());
        assert!(named.same_origin(&key("https://example.com").unwrap()));
        let tls = || ClientTls::builder().dangerously_accept_any_certificate().build().unwrap();
        let (one, two) = (tls(), tls());
        let clone = one.clone();
        let keyed = |tls| {
            Key::of(&"https://example.com".parse().unwrap(), Some(tls), None, Via::Direct, Versions::Auto).unwrap()
        };
        assert_eq!(keyed(&one), keyed(&clone));
        assert_ne!(keyed(&one), keyed(&two));
        let spoken = |uri: &str, versions| Key::of(&uri.parse().unwrap(), None, None, Via::Direct, versions).unwrap();
        assert_ne!(spoken("https://example.com", Versions::Http1), key("https://example.com").unwrap());
        assert_eq!(spoken("http://example.com", Versions::Http1), key("http://example.com").unwrap());
    }

    #[test]
    fn every_way_is_another() {
        let by = |url: &str| Via::Proxy(url.parse().unwrap());
        let via = |via: Via| Key::of(&"https://example.com".parse().unwrap(), None, None, via, Versions::Auto).unwrap();
        assert_eq!(via(by("http://proxy:1")), via(by("proxy:1")));
        let all =
            ["http://proxy:1", "http://proxy:2", "https://proxy:1", "http://user:a@proxy:1", "http://user:b@proxy:1"];
        let mut keys: Vec<_> = all.map(|url| via(by(url))).into();
        keys.push(via(Via::Direct));
        #[cfg(unix)]
        keys.extend(["/a", "/b"].map(|path| via(Via::Unix(std::path::Path::new(path).into()))));
        for (n, key) in keys.iter().enumerate() {
            assert!(keys[n + 1..].iter().all(|other| other != key && other.same_origin(key)), "{n}");
        }
    }

    #[test]
    fn what_cannot_be_asked_for_says_why() {
        for (uri, why) in [
            ("ftp://example.com", Unfit::Scheme),
            ("/path", Unfit::Scheme),
            ("https://example.com:0", Unfit::Port),
            ("https://example.com:65536", Unfit::Port),
        ] {
            let Ok(uri) = uri.parse() else { continue };
            assert_eq!(Key::of(&uri, None, None, Via::Direct, Versions::Auto), Err(why), "{uri}");
        }
        assert_eq!(key("http://[::1]:8080/").unwrap().target(), "[::1]:8080");
        assert_eq!(key("https://a.b/").unwrap().host_header().unwrap(), "a.b");
        assert_eq!(key("https://a.b:8443/").unwrap().host_header().unwrap(), "a.b:8443");
    }
}
