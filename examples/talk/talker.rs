//! The owner of the connections.

use std::{collections::HashMap, io, rc::Rc, time::Duration};

use actix::prelude::*;
use exeunt::{Close, Connected, ConnectionId, Data, Draining, Eof, Events, Handle, Lost};
use tokio::{sync::watch, time::Instant};

use crate::printer::Printer;

/// Where nothing has come for so long after everything was sent, nothing is expected.
const QUIET: Duration = Duration::from_secs(1);

/// What `converse` waits for.
#[derive(Default)]
pub struct Told {
    pub lost: u64,
    /// The first connection that did not end as it should.
    pub unexpected: Option<Lost>,
    /// Standard output is closed or broken.
    pub output: Option<(io::ErrorKind, String)>,
}

/// The owner of all connections.
pub struct Talker {
    printer: Rc<Printer>,
    hold: bool,
    talks: HashMap<ConnectionId, Talk>,
    told: watch::Sender<Told>,
}

/// A connection, as its owner sees it.
struct Talk {
    connection: Handle<Events>,
    /// How much, once everything was sent.
    sent: Option<u64>,
    received: u64,
    heard: Instant,
}

impl Talk {
    /// Closes when everything was sent and there is nothing more to expect. It may be said more than once.
    fn close_if_done(&self, now: Instant) {
        if self.sent.is_some_and(|sent| sent == self.received || now - self.heard >= QUIET) {
            self.connection.do_send(Close::new());
        }
    }
}

/// Everything was accepted for sending.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Sent {
    pub id: ConnectionId,
    pub bytes: u64,
}

impl Talker {
    pub fn new(printer: Rc<Printer>, hold: bool, told: watch::Sender<Told>) -> Self {
        Talker { printer, hold, talks: HashMap::new(), told }
    }

    fn printed(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.told.send_modify(|told| told.output = Some((error.kind(), error.to_string())));
        }
    }
}

impl Actor for Talker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if !self.hold {
            context.run_interval(QUIET / 10, |talker, _| {
                let now = Instant::now();
                talker.talks.values().for_each(|talk| talk.close_if_done(now));
            });
        }
    }
}

impl Handler<Connected> for Talker {
    type Result = ();

    fn handle(&mut self, connected: Connected, _: &mut Self::Context) {
        let printed = self.printer.connected(&connected);
        self.printed(printed);
        let Connected { id, connection, .. } = connected;
        self.talks.insert(id, Talk { connection, sent: None, received: 0, heard: Instant::now() });
    }
}

impl Handler<Data> for Talker {
    type Result = ();

    fn handle(&mut self, data: Data, _: &mut Self::Context) {
        let printed = self.printer.data(&data);
        self.printed(printed);
        if let Some(talk) = self.talks.get_mut(&data.id) {
            talk.received += data.bytes.len() as u64;
            talk.heard = Instant::now();
            if !self.hold {
                talk.close_if_done(talk.heard);
            }
        }
    }
}

impl Handler<Sent> for Talker {
    type Result = ();

    fn handle(&mut self, Sent { id, bytes }: Sent, _: &mut Self::Context) {
        if let Some(talk) = self.talks.get_mut(&id) {
            talk.sent = Some(bytes);
            talk.heard = Instant::now();
            if !self.hold {
                talk.close_if_done(talk.heard);
            }
        }
    }
}

impl Handler<Eof> for Talker {
    type Result = ();

    /// When this returns, the connection closes by itself.
    fn handle(&mut self, eof: Eof, _: &mut Self::Context) {
        let printed = self.printer.eof(eof);
        self.printed(printed);
    }
}

impl Handler<Draining> for Talker {
    type Result = ();

    /// Whoever sends us a signal does not want to wait for an answer: what was accepted is sent, and that is all.
    fn handle(&mut self, draining: Draining, _: &mut Self::Context) {
        if let Some(talk) = self.talks.get(&draining.id) {
            talk.connection.do_send(Close::new());
        }
    }
}

impl Handler<Lost> for Talker {
    type Result = ();

    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        self.talks.remove(&lost.id);
        let printed = self.printer.lost(&lost);
        self.printed(printed);
        self.told.send_modify(|told| {
            told.lost += 1;
            if !lost.reason.is_expected() {
                told.unexpected.get_or_insert(lost);
            }
        });
    }
}
