//! Standard output: JSON, one object a line, or text.

use std::io::{self, Write};

use exeunt::Ledger;
use serde::Serialize;

use super::command;

/// An object that says first of what kind it is.
#[derive(Serialize)]
struct Event<'a, T> {
    event: &'a str,
    #[serde(flatten)]
    fields: T,
}

/// Prints `{"event":NAME,...}` as a line.
pub fn event(name: &str, fields: impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Event { event: name, fields })?;
    line.push(b'\n');
    bytes(&line)
}

/// Prints bytes as they are. Unlike `print!` it does not panic when nobody reads them.
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Prints a line of text.
pub fn line(text: impl std::fmt::Display) -> io::Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Prints the ledger, which comes last: as an event, or as a table for people.
pub fn ledger(ledger: &Ledger, json: bool) {
    told(if json { event("ledger", ledger) } else { line(ledger) });
}

/// For output without which the program goes on. Who has closed our standard output does not want to know; anything else is told.
pub fn told(result: io::Result<()>) {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            command::note(format_args!("standard output: {error}"))
        }
        _ => {}
    }
}
