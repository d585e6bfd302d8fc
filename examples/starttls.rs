//! STARTTLS as SMTP and PostgreSQL have it: a plain connection, some words, TLS on the same connection, and the proof that it was made once and lost once.
//!
//! ```text
//! cargo run --example starttls -- localhost:25 --protocol smtp --ca ca.pem
//! cargo run --example starttls -- localhost:5432 --protocol postgres --insecure
//! ```

mod common;

use std::{error::Error, process::ExitCode};

use actix::Addr;
use bytes::{Buf, BytesMut};
use common::command::{self, Early, say};
use exeunt::{
    ClientTls, Connect, Io, Progress, Protocol, ProtocolError, Reason, StartTls, Subscribe, Supervisor, Target,
};

const USAGE: &str = "\
usage: starttls HOST:PORT --protocol smtp|postgres [--ca FILE | --insecure]

Connects without TLS, asks for TLS in the words of the protocol, shakes hands on the
same connection, says as much by TLS as is polite, and closes. Prints what was agreed
on, who the server is, and how the connection ended.

  --protocol smtp      EHLO, STARTTLS, TLS, EHLO, QUIT (RFC 3207)
  --protocol postgres  SSLRequest, TLS, a startup that is not gone through with
  --ca FILE            trust the certificates in this PEM file (default: the system's)
  --insecure           accept any certificate: anyone on the way can read and change everything

Exit code: 0 clean, 1 connections were killed at the deadline of a stop, 2 bad input,
3 the server could not be reached or trusted, or has no TLS.
";

struct Options {
    target: Target,
    speech: Speech,
    tls: ClientTls,
}

impl Options {
    fn from_arguments() -> Result<Self, Early> {
        use lexopt::prelude::*;
        let (mut target, mut speech, mut ca, mut insecure) = (None, None, None, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(text) if target.is_none() => target = Some(text.to_string_lossy().parse::<Target>()?),
                Long("protocol") => {
                    speech = Some(match command::text(&mut parser, "--protocol")?.as_str() {
                        "smtp" => Speech::Smtp { asked: false },
                        "postgres" => Speech::Postgres,
                        other => return Err(Early::wrong(format!("--protocol is smtp or postgres, not {other:?}"))),
                    });
                }
                Long("ca") => ca = Some(command::text(&mut parser, "--ca")?),
                Long("insecure") => insecure = true,
                Short('h') | Long("help") => return Err(Early::Help(USAGE)),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let target = target.ok_or_else(|| Early::wrong("HOST:PORT is missing (--help says more)"))?;
        let speech = speech.ok_or_else(|| Early::wrong("--protocol is missing: smtp or postgres"))?;
        let tls = match (ca, insecure) {
            (Some(_), true) => return Err(Early::wrong("--ca and --insecure exclude each other")),
            (Some(file), false) => ClientTls::builder().trust_file(file).build()?,
            (None, true) => ClientTls::builder().dangerously_accept_any_certificate().build()?,
            (None, false) => ClientTls::system()?,
        };
        Ok(Options { target, speech, tls })
    }
}

/// What is said before there is TLS, and after.
enum Speech {
    /// `asked`: STARTTLS is out, and the next reply is its answer.
    Smtp {
        asked: bool,
    },
    Postgres,
}

/// SSLRequest: its length, and a number that is no version of the protocol.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// StartupMessage of version 3.0 for the user "exeunt".
const STARTUP: &[u8] = b"\0\0\0\x15\0\x03\0\0user\0exeunt\0\0";
const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// The protocol of the connection.
struct Asker {
    speech: Speech,
    server_name: String,
    tls: ClientTls,
    secure: bool,
}

impl Asker {
    /// What is left in the buffer after this belongs to the handshake: so nothing more is taken out of it.
    fn start_tls(&self, io: &mut Io<'_, Self>) -> Result<(), ProtocolError> {
        let start = StartTls::client(&*self.server_name, &self.tls);
        io.start_tls(start).map_err(|error| ProtocolError::new(error.to_string()))
    }

    /// A reply of SMTP. Whether the next one may be looked at.
    fn replied(&mut self, io: &mut Io<'_, Self>, reply: &str) -> Result<bool, ProtocolError> {
        let (code, more) = (reply.get(..3).unwrap_or(reply), reply.get(3..4) == Some("-"));
        match code {
            _ if more => {}
            "220" if matches!(self.speech, Speech::Smtp { asked: true }) && !self.secure => {
                return self.start_tls(io).map(|()| false);
            }
            "220" => drop(io.write(b"EHLO exeunt.example\r\n")),
            "250" if self.secure => drop(io.write(b"QUIT\r\n")),
            "250" => {
                self.speech = Speech::Smtp { asked: true };
                io.write(b"STARTTLS\r\n");
            }
            "221" => io.close(),
            _ => return Err(ProtocolError::new(format!("the server does not want to: {reply}"))),
        }
        Ok(true)
    }
}

impl Protocol for Asker {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        if matches!(self.speech, Speech::Postgres) {
            io.write(&SSL_REQUEST);
        }
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        if let Speech::Postgres = self.speech {
            return match (self.secure, data.get_u8()) {
                (false, b'S') => self.start_tls(io),
                (false, b'N') => Err(ProtocolError::new("the server has no TLS")),
                // Whatever it answers to the startup (a method of authentication, an error), it speaks.
                (true, b'R' | b'E') => {
                    data.clear();
                    io.write(TERMINATE);
                    io.close();
                    Ok(())
                }
                (_, other) => Err(ProtocolError::new(format!("an answer that PostgreSQL does not give: {other:#04x}"))),
            };
        }
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            let reply = data.split_to(end + 1);
            if !self.replied(io, String::from_utf8_lossy(&reply).trim_end())? {
                break;
            }
        }
        Ok(())
    }

    fn secured(&mut self, io: &mut Io<'_, Self>) {
        self.secure = true;
        if let Some(tls) = io.info().tls {
            let subject = tls.peer_certificate.map(|certificate| certificate.subject());
            say(format_args!(
                "Secured: {} with {}, by {}",
                tls.version,
                tls.cipher.as_deref().unwrap_or("a cipher without a name"),
                subject.as_deref().filter(|subject| !subject.is_empty()).unwrap_or("a certificate without a subject")
            ));
        }
        match self.speech {
            Speech::Smtp { .. } => io.write(b"EHLO exeunt.example\r\n"),
            Speech::Postgres => io.write(STARTUP),
        };
    }
}

fn main() -> ExitCode {
    command::finish(Options::from_arguments().map(|options| {
        command::log("warn");
        exeunt::run(Supervisor::default(), |supervisor| ask(supervisor, options))
    }))
}

async fn ask(supervisor: Addr<Supervisor>, options: Options) -> Result<(), Box<dyn Error>> {
    let Options { target, speech, tls } = options;
    let mut progress = supervisor.send(Subscribe).await?;
    let asker = Asker { speech, server_name: target.server_name().to_owned(), tls, secure: false };
    // It holds itself until it ends; what becomes of it is told to whoever subscribes.
    supervisor.do_send(Connect::plain(target.to_string(), asker));
    while let Some(Ok(happened)) = progress.next().await {
        match happened {
            Progress::Connected { id, peer } => say(format_args!("Connected: connection {id} to {peer}")),
            Progress::Lost(lost) => {
                say(format_args!("Lost: {lost}"));
                return match (lost.secure, lost.reason) {
                    (true, Reason::Closed | Reason::ClosedByPeer | Reason::Unanswered) => Ok(()),
                    (_, reason) => Err(reason.to_string().into()),
                };
            }
            _ => {}
        }
    }
    Err("the supervisor is gone".into())
}
