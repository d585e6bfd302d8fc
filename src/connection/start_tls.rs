//! TLS that begins and ends on a connection that goes on: what is asked, and why it may not be had.

use std::{fmt, time::Duration};

use actix::{Handler, Message, Recipient};
use bytes::Bytes;

use super::{
    Connection, Protocol,
    reply::{Parked, Reply},
};
use crate::{
    fate::{ConnectionId, Lost},
    tls::{Beginning, ClientTls, ServerTls, TlsConfigError, TlsInfo, alpn_wire},
};

/// Starts TLS on an open connection: SMTP's STARTTLS, PostgreSQL's SSLRequest. Answers when the handshake has succeeded. On a connection that has TLS it starts TLS inside TLS.
///
/// * What was accepted for writing before goes as it is; what is accepted from here on waits for the handshake, and goes encrypted.
/// * What was read and not consumed belongs to the handshake, and nothing more is read as it is. So plaintext that somebody has slipped in behind the peer's word (CVE-2011-0411, CVE-2021-23222) fails
///   the handshake, and is never taken for data. That holds for what a [`Protocol`] leaves in its buffer: it must stop consuming when it has read that word. An
///   owner by [events](crate::Events), which gets all that came, gives what came behind it to [`already_read`](StartTls::already_read).
/// * The connection stays the same: no second [`Connected`](crate::Connected), one [`Lost`]. If the handshake fails, that is its end: a peer that was promised TLS is not spoken to without it.
/// * A pause of reading stays. A graceful close in the handshake gives the connection up, as before the first handshake; what waits is counted in [`Lost::bytes_unsent`].
///
/// A server sends this right behind its last plain words, without waiting for their way: the handshake begins when they have gone. A client sends it when it has read the server's.
///
/// Dropping the answer's future before the handshake is done ends the connection as [`Cancelled`](crate::Reason::Cancelled).
///
/// ```no_run
/// # async fn example(connection: exeunt::Handle<exeunt::Events>, tls: exeunt::ClientTls) -> Result<(), Box<dyn std::error::Error>> {
/// connection.start_tls(exeunt::StartTls::client("mail.example", &tls)).await?;
/// println!("{}", connection.info().await?.tls.unwrap().version);
/// # Ok(())
/// # }
/// ```
#[must_use = "it is a message: send it to a connection, or give it to `Io::start_tls`"]
pub struct StartTls {
    role: Role,
    alpn: Option<Vec<Vec<u8>>>,
    pub(super) already_read: Bytes,
    pub(super) within: Option<Duration>,
    pub(super) tell: Option<Recipient<Secured>>,
}

enum Role {
    Client { tls: ClientTls, server_name: String },
    Server { tls: ServerTls },
}

impl StartTls {
    fn new(role: Role) -> Self {
        StartTls { role, alpn: None, already_read: Bytes::new(), within: None, tell: None }
    }

    /// As the client of the handshake: the certificate must bear `server_name`, which is sent (SNI) unless it is an address.
    pub fn client(server_name: impl Into<String>, tls: &ClientTls) -> Self {
        StartTls::new(Role::Client { tls: tls.clone(), server_name: server_name.into() })
    }

    /// As the server of the handshake.
    pub fn server(tls: &ServerTls) -> Self {
        StartTls::new(Role::Server { tls: tls.clone() })
    }

    /// Offers these protocols, the preferred one first, in place of what the TLS configuration says. A server's are those of its configuration.
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.alpn = Some(protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect());
        self
    }

    /// Bytes that came behind the peer's last plain words and were taken out of the connection with them: the handshake reads them first.
    pub fn already_read(mut self, bytes: impl Into<Bytes>) -> Self {
        self.already_read = bytes.into();
        self
    }

    /// How long the handshake may take. Default: the connection's [`Options::handshake`](crate::Options::handshake), 10 s.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// Sends [`Secured`] to this actor when the handshake has succeeded: before any data that comes by TLS, which the answer of the message does not promise.
    pub fn tell(mut self, whom: Recipient<Secured>) -> Self {
        self.tell = Some(whom);
        self
    }

    /// The TLS that is to be, as far as it can be without a socket. `port`: the peer's, by which sessions are resumed.
    pub(super) fn begin(&self, port: u16) -> Result<Beginning, TlsConfigError> {
        match &self.role {
            Role::Client { tls, server_name } => {
                let alpn = self.alpn.as_deref().map(alpn_wire).transpose()?;
                Beginning::client(tls, server_name, port, alpn.as_deref())
            }
            Role::Server { tls } => Beginning::server(tls),
        }
    }
}

impl fmt::Debug for StartTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartTls").field("already_read", &self.already_read.len()).finish_non_exhaustive()
    }
}

impl Message for StartTls {
    type Result = Result<(), SwitchError>;
}

/// TLS that was started on an open connection is there: whatever comes after this came by it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Secured {
    /// Which connection.
    pub id: ConnectionId,
    /// What was agreed on, and who the peer is.
    pub tls: TlsInfo,
}

/// Ends TLS, and not the connection: close_notify goes both ways, and what follows on the same socket is plain (or the outer TLS, where there was TLS in TLS). Answers when that is so.
///
/// * What was accepted for writing before goes by TLS, what is accepted from here on waits, and goes after it.
/// * Data that the peer still sends by TLS is delivered, then [`Protocol::unwrapped`] is called, then what came behind its close_notify is delivered.
/// * The configuration must not [read ahead](crate::tls::ClientTlsBuilder::read_ahead): what came behind the close_notify would be lost in the library.
/// * A peer that does not answer ends the connection as [`Unanswered`](crate::Reason::Unanswered) when the [linger](crate::Options::linger) is over. A close in the meantime takes the place of it,
///   unless something waits to be written behind the TLS: then the close comes after that.
/// * When the peer closes TLS first, that is the end of the stream as always; a protocol that asks for this in [`end_of_stream`](Protocol::end_of_stream), in place of closing, answers it, and goes on.
///   (With [`Events`](crate::Events), be [`half_open`](crate::Events::half_open).)
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), SwitchError>")]
pub struct StopTls;

/// Why TLS was not started on a connection, or not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SwitchError {
    /// The caller's: the TLS configuration cannot be used. The connection goes on as it was.
    Tls(TlsConfigError),
    /// The caller's: TLS is being started or ended already. That goes on.
    UnderWay,
    /// The caller's: TLS was to be ended, and there is none. The connection goes on as it was.
    NotSecure,
    /// The caller's: TLS was to be ended, and its configuration reads ahead. The connection goes on as it was.
    ReadsAhead,
    /// The caller's: the protocol of this connection (HTTP, say) does not let it be done under it. The connection goes on as it was.
    Unsupported,
    /// The connection is closing, or the peer has ended its direction.
    Closing,
    /// The connection has ended first, as this says: in the handshake, mostly.
    Lost(Box<Lost>),
}

impl SwitchError {
    /// How the connection ended, if that is why.
    pub fn lost(&self) -> Option<&Lost> {
        match self {
            SwitchError::Lost(lost) => Some(lost),
            _ => None,
        }
    }
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SwitchError::Tls(error) => error.fmt(f),
            SwitchError::UnderWay => {
                f.write_str("TLS is being started or ended on this connection already; wait until that is done")
            }
            SwitchError::NotSecure => f.write_str("TLS cannot be ended: this connection has none"),
            SwitchError::ReadsAhead => f.write_str(
                "TLS cannot be ended: the library may have read what comes behind it; build the configuration with `read_ahead(false)`",
            ),
            SwitchError::Unsupported => {
                f.write_str("TLS cannot be started or ended: the protocol of this connection moves its bytes itself")
            }
            SwitchError::Closing => f.write_str("TLS cannot be started or ended: the connection is closing"),
            SwitchError::Lost(lost) => write!(f, "{}: {}", lost.peer, lost.reason),
        }
    }
}

impl std::error::Error for SwitchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SwitchError::Tls(error) => Some(error),
            _ => None,
        }
    }
}

impl From<TlsConfigError> for SwitchError {
    fn from(error: TlsConfigError) -> Self {
        SwitchError::Tls(error)
    }
}

impl<P: Protocol> Handler<StartTls> for Connection<P> {
    type Result = Parked<Result<(), SwitchError>>;

    fn handle(&mut self, start: StartTls, _: &mut Self::Context) -> Self::Result {
        let (reply, parked) = Reply::later();
        match self.link.start_tls(start, Some(reply)) {
            Ok(()) => parked,
            Err(error) => Parked::now(Err(error)),
        }
    }
}

impl<P: Protocol> Handler<StopTls> for Connection<P> {
    type Result = Parked<Result<(), SwitchError>>;

    fn handle(&mut self, _: StopTls, _: &mut Self::Context) -> Self::Result {
        let (reply, parked) = Reply::later();
        match self.link.stop_tls(Some(reply)) {
            Ok(()) => parked,
            Err(error) => Parked::now(Err(error)),
        }
    }
}
