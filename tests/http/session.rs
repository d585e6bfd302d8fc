//! The session: what a user of one relies on, and what becomes of it when peers do what they should not.

mod basics;
mod bodies;
#[cfg(feature = "cookies")]
mod cookies;
#[cfg(feature = "digest")]
mod digest;
mod faults;
#[cfg(feature = "multipart")]
mod forms;
#[cfg(feature = "http2")]
mod http2;
mod pooling;
mod redirects;
mod stopping;
mod timing;

use std::sync::{Arc, Mutex};

use actix::{Actor, Addr};
use exeunt::{
    Books, Ledger, Stop, Supervisor,
    http::{Session, SessionBuilder},
};

use crate::peer::client_tls;

/// A supervisor and a session that trusts our peers.
pub struct Scene {
    pub supervisor: Addr<Supervisor>,
    pub session: Session,
    books: Books,
}

impl Scene {
    pub fn new() -> Self {
        Scene::with(|session| session)
    }

    pub fn with(configure: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Self {
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        let supervisor = supervisor.start();
        let session = configure(Session::builder().tls(&client_tls())).start(&supervisor).unwrap();
        Scene { supervisor, session, books }
    }

    /// Everybody leaves: the session, then the supervisor; nothing remains. The session's ledger.
    pub async fn exeunt(self) -> Arc<Ledger> {
        let ledger = self.session.close().await;
        let all = self.supervisor.send(Stop::new()).await.unwrap();
        assert_eq!(self.books.outstanding(), 0, "a ticket is outstanding (law 1)");
        assert_eq!(ledger.totals.admitted, ledger.totals.lost, "{ledger}");
        assert_eq!(ledger.totals.by_reason, all.totals.by_reason, "the session's account is the supervisor's");
        let pool = self.session.pool();
        assert_eq!((pool.dialing, pool.busy, pool.idle, pool.waiting), (0, 0, 0, 0), "the pool is not empty");
        ledger
    }
}

/// What the peers of a scene write down.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn last(&self) -> String {
        self.all().last().cloned().unwrap_or_default()
    }
}

/// A response with this body, and the connection stays.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
