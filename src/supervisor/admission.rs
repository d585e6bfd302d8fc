//! Admission: the only place where a ticket is minted.

use actix::{Handler, Message};

use super::{Adopt, Connect, Supervisor};
use crate::{
    connection::{
        Begin, ConnectError, ConnectReply, Connection, Handle, Options, Parked, Permit, Protocol, Reply, Start,
    },
    fate::{Peer, Role},
    ticket::{Promise, Refusal},
};

/// What it takes to be admitted.
pub(crate) struct Newcomer<P: Protocol> {
    pub(crate) role: Role,
    pub(crate) accepted: bool,
    pub(crate) peer: Peer,
    pub(crate) protocol: P,
    pub(crate) start: Start,
    pub(crate) options: Options,
    pub(crate) reply: Option<ConnectReply<P>>,
    /// Given back when the handshake is over.
    pub(crate) permit: Option<Permit>,
    /// Given back when the connection has ended.
    pub(crate) seat: Option<Permit>,
    /// Its place under the supervisor's limit, since it was accepted.
    pub(crate) promise: Option<Promise>,
}

impl Supervisor {
    /// Admits a connection and gives it to a thread: at once to this one; to another by what it returns, which is to be begun when whoever asked can be answered. This is the only place where a
    /// ticket is minted: in the mailbox, so that the fence of a stop is before or after it, never beside.
    fn admit<P: Protocol>(&mut self, newcomer: Newcomer<P>) -> Result<Option<Begin>, Refusal> {
        let Newcomer { role, accepted, peer, protocol, start, options, reply, permit, seat, promise } = newcomer;
        // Its place is the one that it takes now.
        drop(promise);
        let phase = start.phase();
        let admitted = self.books.admit(role, accepted, start.is_secure(), peer, phase);
        let mut ticket = admitted.inspect_err(|refusal| crate::telling::refused(*refusal))?;
        ticket.take_seat(seat);
        crate::telling::admitted(role, phase);
        match self.workers.least_loaded() {
            None => {
                let newborn = Connection::newborn(ticket, protocol, start, options, reply, permit);
                newborn.spawn();
                Ok(None)
            }
            Some((load, jobs)) => {
                ticket.place(load);
                let newborn = Connection::newborn(ticket, protocol, start.for_another_thread(), options, reply, permit);
                let jobs = jobs.clone();
                // A thread that is gone drops the job, and with it the newborn: its ticket is spent as `Abandoned`.
                Ok(Some(Begin::with(move || {
                    let _ = jobs.send(Box::new(move || newborn.spawn()));
                })))
            }
        }
    }

    fn admit_asked<P: Protocol>(
        &mut self,
        role: Role,
        peer: Peer,
        protocol: P,
        start: Start,
        options: Options,
    ) -> Parked<Result<Handle<P>, ConnectError>> {
        let (reply, parked) = Reply::later();
        let newcomer = Newcomer {
            role,
            accepted: false,
            peer,
            protocol,
            start,
            options,
            reply: Some(reply),
            permit: None,
            seat: None,
            promise: None,
        };
        match self.admit(newcomer) {
            Ok(begin) => parked.and_begin(begin),
            Err(refusal) => Parked::now(Err(refusal.into())),
        }
    }
}

impl<P: Protocol> Handler<Connect<P>> for Supervisor {
    type Result = Parked<Result<Handle<P>, ConnectError>>;

    fn handle(&mut self, connect: Connect<P>, _: &mut Self::Context) -> Self::Result {
        let (peer, protocol, start, options) = match connect.into_parts(&self.resolver) {
            Ok(parts) => parts,
            Err(error) => return Parked::now(Err(error)),
        };
        self.admit_asked(Role::Client, peer, protocol, start, options)
    }
}

impl<P: Protocol> Handler<Adopt<P>> for Supervisor {
    type Result = Parked<Result<Handle<P>, ConnectError>>;

    fn handle(&mut self, adopt: Adopt<P>, _: &mut Self::Context) -> Self::Result {
        let (role, peer, protocol, start, options) = adopt.into_parts();
        self.admit_asked(role, peer, protocol, start, options)
    }
}

/// Asks for the admission of an accepted socket. There is nobody to answer: a refused one is closed.
pub(crate) struct Admit<P: Protocol>(pub(crate) Newcomer<P>);

impl<P: Protocol> Message for Admit<P> {
    type Result = ();
}

impl<P: Protocol> Handler<Admit<P>> for Supervisor {
    type Result = ();

    fn handle(&mut self, Admit(newcomer): Admit<P>, _: &mut Self::Context) {
        let peer = newcomer.peer.clone();
        match self.admit(newcomer) {
            Ok(begin) => {
                if let Some(begin) = begin {
                    begin.now();
                }
            }
            Err(refusal) => tracing::info!(%peer, %refusal, "an accepted connection was closed"),
        }
    }
}
