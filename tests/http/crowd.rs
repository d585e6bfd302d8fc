//! A stop with a crowd of connections over pipes, in whatever they are doing when it comes: what these scenes share.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr};
use exeunt::{Adopt, Books, Handle, Ledger, Protocol, Reason, Role, Socket, Stop, StopPlan, Supervisor};
use tokio::{io::DuplexStream, task::JoinHandle};

use crate::{
    peer::client_tls,
    stage::{Client, Over, PIPE, SECOND, assert_adds_up, server_tls, settled, signed},
};

/// How long the far end is silent, where something is to be in its middle when the stop begins.
pub const WHILE: Duration = Duration::from_secs(5);

pub struct Crowd {
    over: Over,
    supervisor: Addr<Supervisor>,
    books: Books,
    /// Those that are in a handshake which nobody answers: they are told of the stop.
    asking: Vec<(DuplexStream, JoinHandle<()>)>,
}

impl Crowd {
    pub fn new(over: Over) -> Self {
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        Crowd { over, supervisor: supervisor.start(), books, asking: Vec::new() }
    }

    /// Two connections of ours, the ends of one pipe.
    pub async fn pair<S: Protocol, C: Protocol>(&self, server: S, client: C) -> (Handle<S>, Handle<C>) {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (ours, theirs) = (Socket::boxed(ours), Socket::boxed(theirs));
        let tls = exeunt::ClientTls::builder().trust_pem(&signed().ca_pem).build().unwrap();
        let (accept, connect) = match self.over {
            Over::Tls => (
                Adopt::server(theirs, "a client", &server_tls(), server),
                Adopt::client(ours, "localhost", &tls, client),
            ),
            Over::Plain => (
                Adopt::plain(theirs, "a client", Role::Server, server),
                Adopt::plain(ours, "localhost", Role::Client, client),
            ),
        };
        let (accepted, connected) = tokio::join!(self.supervisor.send(accept), self.supervisor.send(connect));
        (accepted.unwrap().unwrap(), connected.unwrap().unwrap())
    }

    /// A connection of ours, and what is at its other end.
    pub async fn one<P: Protocol>(&self, role: Role, protocol: P) -> (Handle<P>, Client) {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let asking = self.supervisor.send(self.adopt(role, ours, protocol));
        let (connection, client) = tokio::join!(asking, async {
            match (self.over, role) {
                (Over::Plain, _) => Client::new(theirs),
                (Over::Tls, Role::Client) => Client::accepted(theirs).await,
                (Over::Tls, Role::Server) => Client::secured(theirs).await,
            }
        });
        (connection.unwrap().unwrap(), client)
    }

    /// A connection whose other end does not answer the handshake of TLS.
    pub fn handshaking<P: Protocol>(&mut self, role: Role, protocol: P) {
        assert_eq!(self.over, Over::Tls);
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let asking = self.supervisor.send(self.adopt(role, ours, protocol));
        let told = actix::spawn(async move { drop(asking.await.unwrap().unwrap_err()) });
        self.asking.push((theirs, told));
    }

    fn adopt<P: Protocol>(&self, role: Role, ours: DuplexStream, protocol: P) -> Adopt<P> {
        let ours = Socket::boxed(ours);
        match (self.over, role) {
            (Over::Plain, role) => Adopt::plain(ours, "localhost", role, protocol),
            (Over::Tls, Role::Client) => Adopt::client(ours, "localhost", &client_tls(), protocol),
            (Over::Tls, Role::Server) => Adopt::server(ours, "localhost", &server_tls(), protocol),
        }
    }

    /// The stop: twenty seconds of drain, and one of linger. Nothing remains, and nothing that was accepted is unsent.
    pub async fn leave(self) -> Arc<Ledger> {
        settled().await;
        let plan = StopPlan::new().drain(SECOND * 20).linger(SECOND);
        let ledger = self.supervisor.send(Stop::by(plan)).await.unwrap();
        assert_adds_up(&ledger, &self.books);
        for (_held, told) in self.asking {
            told.await.unwrap();
        }
        for row in &ledger.rows {
            assert_eq!((row.lost.bytes_unsent, row.lost.secure), (0, self.over == Over::Tls), "{}", row.lost);
        }
        ledger
    }
}

/// Law 9, where both ends are ours: a row for each, and of each pair one has closed. The other has closed as well, or was closed by it.
pub fn assert_each_pair_has_parted(ledger: &Ledger, pairs: usize) {
    assert_eq!(ledger.rows.len(), 2 * pairs, "{ledger}");
    for pair in ledger.rows.chunks(2) {
        match [&pair[0].lost.reason, &pair[1].lost.reason] {
            [Reason::Closed, Reason::Closed | Reason::ClosedByPeer] | [Reason::ClosedByPeer, Reason::Closed] => {}
            _ => panic!("{}, but {}", pair[0].lost, pair[1].lost),
        }
    }
}
