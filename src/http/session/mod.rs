//! The session: requests over a pool of supervised connections.
//!
//! ```text
//!  Session (handle) --+-- checkout --> Shared: Pool under a lock --- Watcher: idle, leaving, lost <--+
//!                     |                  ^      Account                                             |
//!                     |                  |                                                          |
//!                     |          SessionActor: dials, sweeps, closes --- Connect --> Supervisor     |
//!                     +-- Exchange ------------------------------------------------> Connection<HttpClient>
//! ```
//!
//! A request goes from its caller's own future to the connection's mailbox and back. The session's mailbox is in its way only when something is to be dialled.

mod account;
mod actor;
mod asked;
mod attempt;
mod builder;
mod config;
mod defaults;
#[cfg(feature = "digest")]
mod digest;
mod fetch;
mod flow;
mod hashed;
mod hooks;
mod key;
mod known;
mod lease;
mod parts;
mod pool;
mod redirect;
mod retry;
mod shared;
mod via;
mod watcher;

use std::{fmt, sync::Arc};

use actix::Addr;
use http::Request;

pub use actor::SessionActor;
pub use builder::SessionBuilder;
pub use config::{Limits, Timeouts};
pub use fetch::{Fetch, Fetched, RequestBuilder};
pub use hooks::{Hooks, Moment, RequestId};
pub use retry::Retry;

use self::shared::Shared;
use super::{Body, Error, Response};
use crate::{
    fate::Ledger,
    supervisor::{Stop, StopPlan, Supervisor},
};

/// An HTTP client with a pool of connections, each of them admitted, counted and `Lost` under a supervisor. Cheap to clone, and `Send`: it may be used from any thread.
///
/// A stop of the supervisor drains it: requests under way are finished within the drain, new ones are refused with an error that says so, and idle connections close at once. It can also be closed [alone](Session::close).
/// When the last handle is dropped, idle connections close, and those in use when they are done.
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::http::{Fetch, Session};
///
/// let session = Session::new(&supervisor);
/// let response = session.get("https://localhost:8443/health").header("accept", "text/plain").send().await?;
/// println!("{} {}", response.status(), response.text().await?);
///
/// // The same, as a message from an actor.
/// let response = session.addr().send(Fetch::get("https://localhost:8443/health")).await??;
///
/// let ledger = session.close().await; // after the last `Lost` of its own connections
/// println!("{ledger}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session(Arc<Front>);

/// What ends with the last handle.
struct Front {
    shared: Arc<Shared>,
    actor: Addr<SessionActor>,
    /// The session's actor makes handles of its own, for the length of a message.
    lasting: bool,
}

impl Drop for Front {
    fn drop(&mut self) {
        if self.lasting {
            self.actor.do_send(actor::Released);
        }
    }
}

impl Session {
    /// A session with the defaults of a [`SessionBuilder`]. To be called inside an actix system.
    pub fn new(supervisor: &Addr<Supervisor>) -> Self {
        Session::builder().begin(supervisor)
    }

    /// Begins with the defaults.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    fn first(shared: Arc<Shared>, actor: Addr<SessionActor>) -> Self {
        Session(Arc::new(Front { shared, actor, lasting: true }))
    }

    fn again(shared: Arc<Shared>, actor: Addr<SessionActor>) -> Self {
        Session(Arc::new(Front { shared, actor, lasting: false }))
    }

    /// The session as an actor, to be sent [`Fetch`] and [`Stop`]. The actor ends with the last handle, not with the last of these.
    pub fn addr(&self) -> &Addr<SessionActor> {
        &self.0.actor
    }

    /// Sends this request as it is: an absolute URI, and what the session adds to every request where it is not there. What redirects and retries need is cloned; for the rest of what a request may say, see [`request`](Session::request).
    ///
    /// # Errors
    /// There was no response; a response with any status is none.
    pub async fn execute(&self, request: Request<Body>) -> Result<Response, Error> {
        flow::run(self, asked::Asked::of(request)).await
    }

    async fn fetch(&self, fetch: Fetch) -> Result<Response, Error> {
        flow::run(self, fetch.into_asked(self.0.shared.config.base.as_ref())?).await
    }

    /// Makes so many connections to this URL's host before they are needed, as far as the limits go. Answers how many were begun; what becomes of them is told like everything else.
    ///
    /// # Errors
    /// The URL cannot be asked for.
    pub fn pre_warm(&self, url: &str, connections: usize) -> Result<usize, Error> {
        let shared = &self.0.shared;
        let asked = Fetch::get(url).into_asked(shared.config.base.as_ref())?;
        Ok(shared.pre_warm(&asked.key(shared)?, connections))
    }

    /// Changes the limits of the pool from now on. Connections that are too many are not closed, but none is made until there is room.
    pub fn set_limits(&self, limits: Limits) {
        self.0.shared.set_limits(limits);
    }

    /// How the pool is.
    pub fn pool(&self) -> PoolState {
        let (dialing, busy, idle, waiting) = self.0.shared.counts();
        PoolState { dialing, busy, idle, waiting }
    }

    /// Closes the session alone, by the default [`StopPlan`]: see [`SessionActor`]. Answers with the ledger of its own connections after the last `Lost` of them.
    pub async fn close(&self) -> Arc<Ledger> {
        self.close_by(StopPlan::default()).await
    }

    /// As [`close`](Session::close), by this plan. A second close may only shorten the first.
    pub async fn close_by(&self, plan: StopPlan) -> Arc<Ledger> {
        match self.addr().send(Stop::by(plan)).await {
            Ok(ledger) => ledger,
            // Its thread is gone, and its connections with it.
            Err(_) => Arc::new(shared::lock(&self.0.shared.account).ledger(tokio::time::Instant::now())),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.shared.fmt(f)
    }
}

/// How many connections a session has, by what they do, and how many requests wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolState {
    /// Being dialled, or in the handshake.
    pub dialing: usize,
    /// Lent to a request, until the response's body was read.
    pub busy: usize,
    /// Waiting for a request.
    pub idle: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}
