//! Proxies: which, when, and the way through them.
//!
//! ```text
//!  Route::Through --> dial (the proxy) --> TLS with the proxy, if it is https --> CONNECT or SOCKS5 --> Socket
//! ```
//!
//! What comes out is a socket as any other: the connection's own TLS, its close and its `Lost` know nothing of the proxy.

mod connect;
mod no_proxy;
mod prefixed;
mod rules;
#[cfg(feature = "socks")]
mod socks;
mod way;

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header::PROXY_AUTHORIZATION};

use super::Target;
use crate::tls::ClientTls;
pub use rules::Proxies;
pub(super) use way::through;

/// A proxy, and what it is told. Cheap to clone.
///
/// | URL | how |
/// |---|---|
/// | `http://host:port` | HTTP's CONNECT (RFC 9110, section 9.3.6); without a port, 80 |
/// | `https://host:port` | the same, over TLS with the proxy; without a port, 443 |
/// | `socks5://host:port`, `socks5h://host:port` | SOCKS5 (RFC 1928), with the feature `socks`; without a port, 1080. With both, names are resolved by the proxy, as Go has it |
///
/// A user and a password in the URL are percent-decoded, sent as basic authorization (RFC 7617) or by RFC 1929, and never shown again: not in `Debug`, errors or logs.
///
/// ```
/// use exeunt::Proxy;
///
/// let proxy: Proxy = "http://user:secret@proxy.example:3128".parse()?;
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
/// # Ok::<(), exeunt::ProxyError>(())
/// ```
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    target: Target,
    credentials: Option<Credentials>,
    /// Of one's own, for an HTTP proxy.
    headers: HeaderMap,
    /// For an `https` proxy. `None`: the default.
    tls: Option<ClientTls>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Http,
    Https,
    Socks5,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Credentials {
    user: String,
    password: String,
}

impl Proxy {
    /// A proxy from its URL. Without a scheme it is `http`.
    ///
    /// # Errors
    /// The text is none of the URLs above; the error says in what way, and shows nothing of it if there is a password in it.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        let error = |problem: String| ProxyError { text: without_secrets(url), problem };
        let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let url = url::Url::parse(&whole).map_err(|problem| error(problem.to_string()))?;
        let (kind, own_port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" | "socks5h" if cfg!(feature = "socks") => (Kind::Socks5, 1080),
            "socks5" | "socks5h" => return Err(error("SOCKS needs the feature `socks`".into())),
            other => return Err(error(format!("{other:?} is none of http, https, socks5 and socks5h"))),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(error("there is something behind the port".into()));
        }
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let target = Target::new(host, url.port().unwrap_or(own_port)).map_err(|problem| error(problem.to_string()))?;
        let decode = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded.map(String::from).map_err(|_| error("the user or the password is not UTF-8".into()))
        };
        let proxy = Proxy(Arc::new(Inner { kind, target, credentials: None, headers: HeaderMap::new(), tls: None }));
        match (url.username(), url.password()) {
            ("", None) => Ok(proxy),
            (user, password) => proxy
                .try_basic_auth(&decode(user)?, &decode(password.unwrap_or_default())?)
                .map_err(|problem| error(problem.into())),
        }
    }

    /// The user and the password that it is shown.
    ///
    /// # Errors
    /// They cannot be sent: over SOCKS, either is empty or longer than 255 bytes (RFC 1929); over HTTP, there is a colon in the user (RFC 7617).
    pub fn basic_auth(self, user: &str, password: &str) -> Result<Self, ProxyError> {
        let text = self.to_string();
        self.try_basic_auth(user, password).map_err(|problem| ProxyError { text, problem: problem.into() })
    }

    fn try_basic_auth(mut self, user: &str, password: &str) -> Result<Self, &'static str> {
        match self.0.kind {
            Kind::Socks5 if ![user, password].iter().all(|text| (1..=255).contains(&text.len())) => {
                return Err("over SOCKS5, a user and a password have 1 to 255 bytes each");
            }
            Kind::Http | Kind::Https if user.contains(':') => {
                return Err("over HTTP, there can be no colon in the user");
            }
            _ => {}
        }
        self.inner().credentials = Some(Credentials { user: user.to_owned(), password: password.to_owned() });
        Ok(self)
    }

    /// A header of one's own, for an HTTP proxy alone: given twice, both are sent. A SOCKS proxy knows none.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.inner().headers.append(name, value);
        self
    }

    /// The TLS configuration for an `https` proxy. Default: [`ClientTls::system`]. That of the connection behind the proxy is another.
    pub fn tls(mut self, tls: &ClientTls) -> Self {
        self.inner().tls = Some(tls.clone());
        self
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// Whether it speaks HTTP: plain `http` requests are then sent to it in absolute form, without a tunnel.
    #[cfg(feature = "http")]
    pub(crate) fn is_http(&self) -> bool {
        self.0.kind != Kind::Socks5
    }

    /// Whether it is spoken to over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.0.kind == Kind::Https
    }

    pub(crate) fn client_tls(&self) -> Option<&ClientTls> {
        self.0.tls.as_ref()
    }

    /// What an HTTP proxy is told with each request: the headers of one's own, and the authorization.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = self.0.headers.clone();
        if let Some(Credentials { user, password }) = &self.0.credentials
            && !headers.contains_key(PROXY_AUTHORIZATION)
            // Base64 is always a header's value.
            && let Ok(mut value) =
                HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
        {
            value.set_sensitive(true);
            headers.insert(PROXY_AUTHORIZATION, value);
        }
        headers
    }
}

/// A URL, as much of it as may be shown.
fn without_secrets(url: &str) -> String {
    if url.contains('@') { "(with a user)".to_owned() } else { url.chars().take(300).collect() }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(url: &str) -> Result<Self, ProxyError> {
        Proxy::new(url)
    }
}

impl PartialEq for Proxy {
    /// Whether both give the same way: to the same proxy, told the same, trusted by the same configuration.
    fn eq(&self, other: &Self) -> bool {
        let tls = |proxy: &Proxy| proxy.0.tls.as_ref().map(ClientTls::identity);
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.kind == other.0.kind
                && self.0.target == other.0.target
                && self.0.credentials == other.0.credentials
                && self.0.headers == other.0.headers
                && tls(self) == tls(other))
    }
}

impl Eq for Proxy {}

impl Hash for Proxy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.kind, &self.0.target, &self.0.credentials).hash(state);
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.0.kind {
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", self.0.target)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// A text that is not a proxy, or a proxy that cannot be told what it should: `Display` is one sentence, without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyError {
    text: String,
    problem: String,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {:?}: {}", self.text, self.problem)
    }
}

impl std::error::Error for ProxyError {}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
