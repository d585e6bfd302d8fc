//! A server that sends everything back.

use std::{error::Error, time::Duration};

use actix::Addr;
use bytes::BytesMut;
use exeunt::{ClientTls, Io, Listen, Peer, Protocol, ProtocolError, ServerTls, Supervisor};
use tokio::time::Instant;

/// Sends everything back, and never reads more than the peer takes.
///
/// In a drain it goes on until nothing has come for a moment: what a client had sent before it knew of the drain is sent back, too. The default drain would close at once, with
/// what was read flushed and what was still in the socket dropped.
#[derive(Default)]
pub struct Echo {
    draining: bool,
    pressed: bool,
    quiet_at: Option<Instant>,
}

/// How long nothing may come before a connection that drains is done. Chosen arbitrarily: longer than what is on its way in one network takes.
const QUIET: Duration = Duration::from_millis(100);

impl Echo {
    fn heard(&mut self) {
        self.quiet_at = (self.draining && !self.pressed).then(|| Instant::now() + QUIET);
    }
}

impl Protocol for Echo {
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        io.write_bytes(data.split().freeze());
        self.heard();
        Ok(())
    }

    fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
        // While the peer does not read what it is sent, what it sends is not read.
        io.hold_reading(on);
        self.pressed = on;
        self.heard();
    }

    fn drain(&mut self, _: &mut Io<'_, Self>, _: Instant) {
        self.draining = true;
        self.heard();
    }

    fn deadline(&self) -> Option<Instant> {
        self.quiet_at
    }

    fn timeout(&mut self, io: &mut Io<'_, Self>) {
        self.quiet_at = None;
        io.close();
    }
}

/// Listens on a free port of this machine with a certificate made for the occasion. Returns where, and what a client has to trust.
pub async fn embedded<P: Protocol>(
    supervisor: &Addr<Supervisor>,
    protocol: impl FnMut(&Peer) -> P + Send + 'static,
) -> Result<(String, ClientTls), Box<dyn Error>> {
    let signed = exeunt::tls::self_signed(&["127.0.0.1"])?;
    let server = ServerTls::builder().identity_pem(&signed.certificate_pem, &signed.key_pem).build()?;
    let client = ClientTls::builder().trust_pem(&signed.ca_pem).build()?;
    let listening = supervisor.send(Listen::on(([127, 0, 0, 1], 0).into(), &server, protocol)).await??;
    Ok((listening.address().to_string(), client))
}
