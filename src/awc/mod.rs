//! awc's client on supervised connections: the feature `awc`.
//!
//! awc brings its own HTTP and its own TLS, and lets nobody else's in. What it lets in is what its TLS stands on: so each TCP connection is admitted, counted, drained and `Lost` exactly once, and what passes over it is awc's.
//!
//! ```text
//!  awc::Client -- Counted (middleware) -- awc's pool -- awc's HTTP -- awc's TLS -- PooledStream -- Connection<Streamed>, plain
//!                     |                                                               |
//!                     +---- which request is under way, and on which connection ------+
//! ```
//!
//! # Its limits
//!
//! * **A `Lost` knows of TCP.** Its `secure` is false, also for `https`: whether a close_notify came is awc's to know, so the proof is the FIN and no more, and a TLS connection that was cut short by a FIN is told as `closed_by_peer`. awc's errors say the rest. A failed handshake is a connection that awc has closed.
//! * **A connection that ends idle in a drain ends without close_notify**, because awc asks nothing of an idle connection and so does not write one: the peer sees a FIN. Who must say close_notify drops the client first, and awc says it on each idle connection that speaks HTTP/1.1.
//! * **The drain knows of requests by the middleware.** Without it every connection counts as busy, and is closed at the end of the drain. Over HTTP/2 a connection counts as busy as long as any request of its client is under way.
//! * A WebSocket of awc's counts as under way until it is dropped: end it when the drain begins, or it is closed at the drain's end.
//! * awc's `local_address` does not come so far: see [`Connector::dial`].
//!
//! What was looked at and is not offered: our own TLS below awc. For `https` awc refuses a stream that says it is secure already; for `http` it would work with HTTP/1.1 alone, with URLs that say `http` of what is `https`.
//!
//! # Example
//!
//! ```no_run
//! use exeunt::awc::Connector;
//!
//! fn main() -> std::process::ExitCode {
//!     exeunt::run(exeunt::Supervisor::default(), |supervisor| async move {
//!         let client = Connector::new(&supervisor).client();
//!         let mut response = client.get("http://localhost:8080/").send().await.map_err(|error| error.to_string())?;
//!         println!("{} {:?}", response.status(), response.body().await?);
//!         Ok(())
//!     })
//! }
//! ```
//!
//! With options of awc's, both of its ends have to be told:
//!
//! ```no_run
//! # fn example(supervisor: &actix::Addr<exeunt::Supervisor>) {
//! let supervised = exeunt::awc::Connector::new(supervisor);
//! let connector = awc::Connector::new().limit(10).connector(supervised.clone());
//! let client = awc::Client::builder().connector(connector).wrap(supervised).finish();
//! # }
//! ```

mod account;
mod counted;
mod stream;

use std::{fmt, io, rc::Rc, sync::Arc};

use ::awc::{
    error::{ConnectError as AwcConnectError, SendRequestError},
    http::Uri,
};
use actix::Addr;
use actix_service::Service;
use actix_tls::connect::{ConnectError as TcpConnectError, ConnectInfo, Connection};
use futures_util::future::{BoxFuture, LocalBoxFuture};

pub use counted::Counted;
pub use stream::PooledStream;

use account::Account;

use crate::{
    connection::{ConnectError, Options, Streamed, option_setters},
    dial::{DialOptions, Resolver},
    supervisor::{Connect, Supervisor},
    ticket::Refusal,
};

/// Connects [`awc::Client`] by a supervisor; and its middleware, which tells what is under way. See [the module](self) for its limits. One for each client.
///
/// In a drain a connection on which no request is under way ends at once, one that is busy when its response was read, and a new request fails at once with an error that says so: see [`connect_error`].
#[derive(Clone)]
pub struct Connector {
    supervisor: Addr<Supervisor>,
    dial: DialOptions,
    resolver: Option<Arc<dyn Resolver>>,
    options: Options,
    account: Rc<Account>,
}

impl Connector {
    /// Connections of this supervisor.
    pub fn new(supervisor: &Addr<Supervisor>) -> Self {
        Connector {
            supervisor: supervisor.clone(),
            dial: DialOptions::default(),
            resolver: None,
            options: Options::default(),
            account: Rc::default(),
        }
    }

    /// Local address, TCP_NODELAY, keep-alive, address racing. Default: [`DialOptions::default`].
    pub fn dial(mut self, options: DialOptions) -> Self {
        self.dial = options;
        self
    }

    /// How long resolving and connecting may take together. Default 10 s; awc has a limit of its own, of 5 s.
    pub fn dial_timeout(mut self, within: std::time::Duration) -> Self {
        self.options.dial = within;
        self
    }

    /// Who resolves names. Default: the supervisor's resolver.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    option_setters!();

    /// A client with awc's defaults, on this connector.
    pub fn client(self) -> ::awc::Client {
        let connector = ::awc::Connector::new().connector(self.clone());
        ::awc::Client::builder().connector(connector).wrap(self).finish()
    }

    fn ask(&self, info: &ConnectInfo<Uri>) -> Connect<Streamed> {
        let port = match info.port() {
            0 if info.request().scheme_str() == Some("https") => 443,
            0 => 80,
            port => port,
        };
        // An address that the request names stands in for its host.
        let target = info.addrs().next().map_or_else(|| format!("{}:{port}", info.hostname()), |a| a.to_string());
        let connect = Connect::plain(target, Streamed::new()).dial(self.dial.clone()).options(self.options.clone());
        match &self.resolver {
            Some(resolver) => connect.resolver(Shared(resolver.clone())),
            None => connect,
        }
    }
}

/// One resolver for many connects.
struct Shared(Arc<dyn Resolver>);

impl Resolver for Shared {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<std::net::SocketAddr>>> {
        self.0.resolve(host, port)
    }
}

impl Service<ConnectInfo<Uri>> for Connector {
    type Response = Connection<Uri, PooledStream>;
    type Error = TcpConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let connect = self.ask(&info);
        let (supervisor, account) = (self.supervisor.clone(), self.account.clone());
        Box::pin(async move {
            let stream =
                connect.open(&supervisor).await.map_err(|error| TcpConnectError::Io(io::Error::other(error)))?;
            Ok(Connection::new(info.request().clone(), PooledStream::new(stream, &account)))
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("dial", &self.dial).field("options", &self.options).finish_non_exhaustive()
    }
}

/// Why there was no connection, if that is why awc has no response: awc's own errors have no source, and their words are short. `None`: it is another error, or awc's own limits have ended it.
pub fn connect_error(error: &SendRequestError) -> Option<&ConnectError> {
    match error {
        SendRequestError::Connect(AwcConnectError::Io(error)) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// What a request gets that comes after the drain has begun.
fn refused() -> SendRequestError {
    let refused = ConnectError::Refused(Refusal::Stopping);
    SendRequestError::Connect(AwcConnectError::Io(io::Error::other(refused)))
}
