//! How a session is made.

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, Addr};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, USER_AGENT},
};

use super::{Hooks, Limits, Retry, Session, Timeouts, actor::SessionActor, config::Config, shared::Shared, via::Ways};
#[cfg(feature = "http2")]
use crate::http::Http2Options;
use crate::{
    connection::Options,
    dial::{DialOptions, Proxies, Proxy, Resolver},
    http::{Error, Versions},
    supervisor::Supervisor,
    tls::ClientTls,
};

/// Builds a [`Session`].
#[must_use = "a builder does nothing until `start`"]
pub struct SessionBuilder {
    config: Config,
    /// The first thing that was wrong with what was given.
    wrong: Option<Error>,
}

impl Default for SessionBuilder {
    fn default() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("exeunt/", env!("CARGO_PKG_VERSION"))));
        SessionBuilder {
            config: Config {
                base: None,
                headers,
                tls: None,
                resolver: None,
                ways: Ways::default(),
                dial: DialOptions::default(),
                linger: Options::default().linger,
                limits: Limits::default(),
                timeouts: Timeouts::default(),
                redirects: 10,
                retry: Retry::none(),
                versions: Versions::default(),
                #[cfg(feature = "http2")]
                http2: Http2Options::client(),
                decode: true,
                most_decoded: None,
                hooks: None,
                #[cfg(feature = "cookies")]
                cookies: None,
            },
            wrong: None,
        }
    }
}

impl SessionBuilder {
    /// What relative URLs are relative to. Default: none, and a relative URL is an error.
    pub fn base_url(mut self, url: &str) -> Self {
        match url::Url::parse(url) {
            Ok(url) => self.config.base = Some(url),
            Err(error) => self.complain(format!("the base URL {url:?}: {error}")),
        }
        self
    }

    /// A header of every request that does not bring it itself; given twice, the later one stands. Default: `accept: */*` and `user-agent: exeunt/…`; what is offered to be decoded is added by itself.
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName, Error: fmt::Display>,
        value: impl TryInto<HeaderValue, Error: fmt::Display>,
    ) -> Self {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.config.headers.insert(name, value);
            }
            (Err(error), _) => self.complain(format!("a header's name: {error}")),
            (_, Err(error)) => self.complain(format!("a header's value: {error}")),
        }
        self
    }

    /// Sends none of the default headers that [`header`](SessionBuilder::header) speaks of.
    pub fn no_default_headers(mut self) -> Self {
        self.config.headers.clear();
        self
    }

    /// The TLS configuration of requests that bring none. Default: [`ClientTls::system`].
    pub fn tls(mut self, tls: &ClientTls) -> Self {
        self.config.tls = Some(tls.clone());
        self
    }

    /// Who resolves names. Default: the supervisor's.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.config.resolver = Some(Arc::new(resolver));
        self
    }

    /// The proxy of all requests that bring none. `https` goes through a tunnel (CONNECT), and so does `http` by SOCKS; by an HTTP proxy, `http` is sent in absolute form, unless it asks for an `Upgrade`. Default: no proxy.
    pub fn proxy(self, proxy: &Proxy) -> Self {
        self.proxies(Proxies::all(proxy.clone()))
    }

    /// Which of the requests that bring none has which proxy.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.config.ways = Ways::By(proxies);
        self
    }

    /// The proxies that the environment names: see [`Proxies::from_env`]. What is wrong with them is told by [`start`](SessionBuilder::start). Without this the environment is not looked at.
    pub fn proxy_from_env(mut self) -> Self {
        match Proxies::from_env() {
            Ok(proxies) => self.proxies(proxies),
            Err(error) => {
                self.complain(error.to_string());
                self
            }
        }
    }

    /// Where all requests go that bring nothing else, whatever their URL's host: to the Unix-domain socket at this path. The host is what the `Host` header says and, for `https`, what the certificate must bear.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl AsRef<std::path::Path>) -> Self {
        match crate::dial::check_path(path.as_ref()) {
            Ok(()) => self.config.ways = Ways::Unix(path.as_ref().into()),
            Err(error) => self.complain(error.to_string()),
        }
        self
    }

    /// Local address, TCP_NODELAY, keep-alive, address racing. Default: [`DialOptions::default`].
    pub fn dial(mut self, options: DialOptions) -> Self {
        self.config.dial = options;
        self
    }

    /// How long a connection waits for the peer's close_notify after ours. No request waits for it. Default 5 s.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = linger;
        self
    }

    /// The limits of the pool.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// The deadlines of requests that bring none.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// The total deadline of requests that bring none: see [`Timeouts::total`].
    pub fn timeout(mut self, total: Duration) -> Self {
        self.config.timeouts.total = Some(total);
        self
    }

    /// How many redirects are followed; 0: the redirect is the response. Default 10.
    pub fn redirects(mut self, most: usize) -> Self {
        self.config.redirects = most;
        self
    }

    /// When a request is asked again. Default: [`Retry::none`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.config.retry = retry;
        self
    }

    /// Which versions of HTTP requests that say nothing of it are sent in. Default: HTTP/2 to a server that chooses it by ALPN, else HTTP/1.1.
    pub fn versions(mut self, versions: Versions) -> Self {
        self.config.versions = versions;
        self
    }

    /// How HTTP/2 is spoken. Default: [`Http2Options::client`].
    #[cfg(feature = "http2")]
    pub fn http2(mut self, options: Http2Options) -> Self {
        self.config.http2 = options;
        self
    }

    /// Whether bodies that come compressed are decoded, as far as the features are there. Default: they are.
    pub fn decode(mut self, decode: bool) -> Self {
        self.config.decode = decode;
        self
    }

    /// How large a decoded body may be, in bytes: what is larger is an error, and not memory.
    pub fn most_decoded(mut self, bytes: u64) -> Self {
        self.config.most_decoded = Some(bytes);
        self
    }

    /// Who is told what happens.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.config.hooks = Some(Arc::new(hooks));
        self
    }

    /// Keeps cookies in this jar and sends them where they belong, through redirects, too: see [`CookieJar`](crate::http::CookieJar). A request that brings a `Cookie` header of its own is sent with that alone. Default: none are kept.
    ///
    /// ```no_run
    /// # fn example(supervisor: actix::Addr<exeunt::Supervisor>) -> Result<(), exeunt::http::Error> {
    /// use exeunt::http::{CookieJar, Session};
    ///
    /// let jar = CookieJar::new();
    /// let session = Session::builder().cookies(&jar).start(&supervisor)?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "cookies")]
    pub fn cookies(mut self, jar: &crate::http::CookieJar) -> Self {
        self.config.cookies = Some(jar.clone());
        self
    }

    fn complain(&mut self, words: String) {
        self.wrong.get_or_insert_with(|| Error::request(words));
    }

    /// Starts it on this thread, inside an actix system.
    ///
    /// # Errors
    /// The first of what was given that cannot be used.
    pub fn start(mut self, supervisor: &Addr<Supervisor>) -> Result<Session, Error> {
        match self.wrong.take() {
            None => Ok(self.begin(supervisor)),
            Some(error) => Err(error),
        }
    }

    pub(super) fn begin(mut self, supervisor: &Addr<Supervisor>) -> Session {
        if self.config.decode
            && let Some(offer) = crate::http::accept_encoding()
        {
            self.config.headers.entry(http::header::ACCEPT_ENCODING).or_insert(offer);
        }
        let shared = Shared::new(self.config, supervisor.clone());
        let actor = SessionActor::new(shared.clone()).start();
        shared.set_actor(&actor);
        Session::first(shared, actor)
    }
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("limits", &self.config.limits)
            .field("timeouts", &self.config.timeouts)
            .field("redirects", &self.config.redirects)
            .field("retry", &self.config.retry)
            .finish_non_exhaustive()
    }
}
