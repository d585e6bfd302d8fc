//! Standard output: what people, or programs, are told.

use std::{cell::RefCell, collections::HashSet, io};

use exeunt::{Connected, ConnectionId, Data, Eof, Ledger, Lost};
use serde::Serialize;

use crate::common::{command, report};

/// Prints for people or as JSON. A write to standard output may block, and everything waits with it: like any filter, we are no faster than whoever reads us.
pub struct Printer {
    json: bool,
    /// Of whom the end was printed.
    ended: RefCell<HashSet<ConnectionId>>,
}

impl Printer {
    pub fn new(json: bool) -> Self {
        Printer { json, ended: Default::default() }
    }

    pub fn connected(&self, connected: &Connected) -> io::Result<()> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: u64,
            peer: &'a str,
            address: Option<String>,
        }
        let Connected { id, peer, .. } = connected;
        if self.json {
            let address = peer.address.map(|address| address.to_string());
            return report::event("connected", Fields { id: id.get(), peer: &peer.name, address });
        }
        command::note(format_args!("connection {id} ({peer}) is open"));
        Ok(())
    }

    pub fn data(&self, Data { id, bytes }: &Data) -> io::Result<()> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: u64,
            bytes: usize,
            text: &'a str,
        }
        if self.json {
            let text = String::from_utf8_lossy(bytes);
            return report::event("data", Fields { id: id.get(), bytes: bytes.len(), text: &text });
        }
        report::bytes(bytes)
    }

    pub fn eof(&self, Eof { id, clean }: Eof) -> io::Result<()> {
        #[derive(Serialize)]
        struct Fields {
            id: u64,
            clean: bool,
        }
        if self.json {
            return report::event("eof", Fields { id: id.get(), clean });
        }
        let how = if clean { "by close_notify" } else { "without close_notify" };
        command::note(format_args!("connection {id}: the peer will send no more, it said so {how}"));
        Ok(())
    }

    pub fn lost(&self, lost: &Lost) -> io::Result<()> {
        if !self.ended.borrow_mut().insert(lost.id) {
            return Ok(());
        }
        if self.json {
            return report::event("lost", lost);
        }
        command::note(lost);
        Ok(())
    }

    /// The last that is printed. The ends of a stop are all in it; those which are still in the owner's mailbox are printed first.
    pub fn ledger(&self, ledger: &Ledger) {
        for row in &ledger.rows {
            report::told(self.lost(&row.lost));
        }
        match self.json {
            true => report::ledger(ledger, true),
            false => command::note(ledger),
        }
    }
}
