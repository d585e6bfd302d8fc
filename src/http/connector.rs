//! hyper-util's legacy client on supervised connections.

use std::{
    error::Error,
    fmt, io,
    sync::Arc,
    task::{Context, Poll},
};

use actix::Addr;
use futures_util::future::BoxFuture;
use http::{Uri, uri::Scheme};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::HttpStream;
use crate::{
    connection::{ConnectError, Options, Streamed, option_setters},
    dial::{DialOptions, Resolver},
    supervisor::{Connect, Supervisor},
    ticket::Refusal,
    tls::ClientTls,
};

/// Connects `hyper_util::client::legacy::Client` by a supervisor: every connection of its pool is admitted, counted, drained and `Lost` as every other.
///
/// In a drain,
///
/// * a connection on which no request is under way ends at once: hyper reads an end of stream (over HTTP/2, GOAWAY), takes the connection out of its pool, and our close_notify goes out. A request
///   that hyper was about to send on it is tried again by hyper itself, and then refused; the very first one of a connection fails, and was not sent;
/// * a request that is under way is finished, its body included, and then its connection ends in the same way; at the end of the drain it fails with an error whose source is a
///   [`StreamError`](crate::StreamError), and the connection closes;
/// * a request that needs a new connection fails with [`ConnectorError::Connect`], which says that the supervisor is stopping.
///
/// Over HTTP/1.1 a connection that was upgraded, or whose answer ends with the connection, counts as busy until it ends: what passes on it is the application's.
///
/// Every response has the [`ConnectionId`](crate::ConnectionId) among its extensions. `http` URIs are connected to without TLS.
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::http::{Body, Connector};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
///
/// let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(Connector::new(&supervisor));
/// let response = client.request(http::Request::get("https://localhost/").body(Body::empty())?).await?;
/// println!("{}", response.status());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connector {
    supervisor: Addr<Supervisor>,
    tls: Option<ClientTls>,
    http2: bool,
    dial: DialOptions,
    resolver: Option<Arc<dyn Resolver>>,
    options: Options,
}

impl Connector {
    /// Connections of this supervisor, to peers that the system trusts, for HTTP/1.1.
    pub fn new(supervisor: &Addr<Supervisor>) -> Self {
        Connector {
            supervisor: supervisor.clone(),
            tls: None,
            http2: false,
            dial: DialOptions::default(),
            resolver: None,
            options: Options::default(),
        }
    }

    /// The TLS configuration for `https`. Default: [`ClientTls::system`]. Its ALPN is not used.
    pub fn tls(mut self, tls: &ClientTls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// Offers HTTP/2 by ALPN, before HTTP/1.1. Default: not, because a client without hyper-util's feature `http2` panics when a peer takes the offer.
    pub fn http2(mut self, offered: bool) -> Self {
        self.http2 = offered;
        self
    }

    /// How long resolving and connecting may take together. Default 10 s.
    pub fn dial_timeout(mut self, within: std::time::Duration) -> Self {
        self.options.dial = within;
        self
    }

    /// Local address, TCP_NODELAY, keep-alive, address racing. Default: [`DialOptions::default`].
    pub fn dial(mut self, options: DialOptions) -> Self {
        self.dial = options;
        self
    }

    /// Who resolves names. Default: the supervisor's resolver.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    option_setters!();

    fn ask(&self, uri: &Uri) -> Result<(Connect<Streamed>, bool), ConnectorError> {
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(ConnectorError::Uri(uri.clone())),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| ConnectorError::Uri(uri.clone()))?;
        let target = format!("{host}:{}", uri.port_u16().unwrap_or(if secure { 443 } else { 80 }));
        let connect = match secure {
            false => Connect::plain(target, Streamed::new()),
            true => {
                let offers: &[&str] = if self.http2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
                Connect::to(target, Streamed::new()).alpn(offers)
            }
        };
        let connect = connect.dial(self.dial.clone()).options(self.options.clone());
        let connect = match &self.tls {
            Some(tls) if secure => connect.tls(tls),
            _ => connect,
        };
        let connect = match &self.resolver {
            Some(resolver) => connect.resolver(Shared(resolver.clone())),
            None => connect,
        };
        Ok((connect, secure && self.http2))
    }
}

/// One resolver for many connects.
struct Shared(Arc<dyn Resolver>);

impl Resolver for Shared {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<std::net::SocketAddr>>> {
        self.0.resolve(host, port)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("http2", &self.http2)
            .field("dial", &self.dial)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<HttpStream>;
    type Error = ConnectorError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectorError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let asked = self.ask(&uri);
        let supervisor = self.supervisor.clone();
        Box::pin(async move {
            let (connect, offers_http2) = asked?;
            let stream = connect.open(&supervisor).await.map_err(ConnectorError::Connect)?;
            let http2 = offers_http2 && {
                // One that has ended since is found out by whoever uses it.
                let info = stream.handle().info().await.ok();
                info.and_then(|info| info.tls).is_some_and(|tls| tls.alpn.as_deref() == Some(b"h2"))
            };
            Ok(TokioIo::new(HttpStream::new(stream, http2)))
        })
    }
}

/// Why the client has no connection. It is the source of hyper-util's own error.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The caller's: this is not an `http` or `https` URI with a host.
    Uri(Uri),
    /// It could not be had, or is refused, because the supervisor is stopping, say.
    Connect(ConnectError),
}

impl ConnectorError {
    /// Whether the supervisor is stopping: it makes no sense to try again.
    pub fn is_stopping(&self) -> bool {
        matches!(self, ConnectorError::Connect(ConnectError::Refused(Refusal::Stopping)))
    }
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectorError::Uri(uri) => {
                write!(f, "{uri} cannot be connected to: it must begin with http:// or https:// and a host")
            }
            ConnectorError::Connect(error) => error.fmt(f),
        }
    }
}

impl Error for ConnectorError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ConnectorError::Uri(_) => None,
            ConnectorError::Connect(error) => error.source(),
        }
    }
}
