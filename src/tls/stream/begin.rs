//! The beginning of a stream: what it is made of, and the handshake.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use openssl::ssl::Ssl;
use tokio_openssl::SslStream;

use super::TlsStream;
use crate::{
    fate::HandshakeFailure,
    tls::{
        ClientTls, ServerTls, Socket, StreamFailure, TlsConfigError,
        failure::{self, PIN_MISMATCH},
        gate::Gate,
        resume::Key,
    },
};

/// The role, and what it needs after the beginning.
pub(super) enum Side {
    Client { config: ClientTls, key: Key },
    Server,
}

const APPLICATION_VERIFICATION: i32 = 50;

/// A stream that has no socket yet: what can be wrong with its configuration is known.
pub(crate) struct Beginning {
    ssl: Ssl,
    side: Side,
    reads_ahead: bool,
}

impl Beginning {
    /// As [`TlsStream::client`].
    pub(crate) fn client(
        tls: &ClientTls,
        server_name: &str,
        port: u16,
        alpn: Option<&[u8]>,
    ) -> Result<Beginning, TlsConfigError> {
        let (ssl, key) = tls.connect(server_name, port, alpn)?;
        Ok(Beginning { ssl, side: Side::Client { config: tls.clone(), key }, reads_ahead: tls.reads_ahead() })
    }

    pub(crate) fn server(tls: &ServerTls) -> Result<Beginning, TlsConfigError> {
        Ok(Beginning { ssl: tls.accept()?, side: Side::Server, reads_ahead: tls.reads_ahead() })
    }

    /// Gives it its socket. `already_read`: what was read from that before, which the handshake is to read first.
    pub(crate) fn over(self, socket: Socket, already_read: Bytes) -> Result<TlsStream, TlsConfigError> {
        let gate = Gate::new(socket, already_read, self.reads_ahead);
        let tls = SslStream::new(self.ssl, gate).map_err(TlsConfigError::library("prepare a TLS connection"))?;
        Ok(TlsStream {
            tls,
            side: self.side,
            reads_ahead: self.reads_ahead,
            established: false,
            write_pending: None,
            close_notify_sent: false,
            fin_sent: false,
            end: None,
            handshake_failure: None,
            broken: None,
            write_broken: None,
            #[cfg(test)]
            called: false,
        })
    }
}

impl TlsStream {
    /// A client that wants to speak to `server_name`; `port` only tells apart whose session may be resumed. `alpn`: offered in place of what `tls` says, in the form of the wire.
    pub(crate) fn client(
        tls: &ClientTls,
        server_name: &str,
        port: u16,
        alpn: Option<&[u8]>,
        socket: Socket,
    ) -> Result<TlsStream, TlsConfigError> {
        Beginning::client(tls, server_name, port, alpn)?.over(socket, Bytes::new())
    }

    pub(crate) fn server(tls: &ServerTls, socket: Socket) -> Result<TlsStream, TlsConfigError> {
        Beginning::server(tls)?.over(socket, Bytes::new())
    }

    /// Once it has succeeded or failed it keeps answering the same. If we refuse the peer, our alert is on its way when this returns.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeFailure>> {
        if let Some(failure) = &self.handshake_failure {
            return Poll::Ready(Err(failure.clone()));
        }
        if self.established {
            return Poll::Ready(Ok(()));
        }
        self.begin();
        let polled = match self.side {
            Side::Client { .. } => Pin::new(&mut self.tls).poll_connect(cx),
            Side::Server => Pin::new(&mut self.tls).poll_accept(cx),
        };
        let flushed = self.poll_flush(cx);
        let failure = match polled {
            Poll::Pending if self.tls.get_ref().hid_fin() => HandshakeFailure::Eof,
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => {
                failure::of_handshake(&error, self.tls.ssl(), self.tls.get_ref().error(), self.is_pinned())
            }
            Poll::Ready(Ok(())) if !self.accepts_peer() => {
                HandshakeFailure::Certificate { code: APPLICATION_VERIFICATION, message: PIN_MISMATCH.to_owned() }
            }
            Poll::Ready(Ok(())) => {
                self.established = true;
                // A socket that could not be flushed says so again at the first write.
                let _ = flushed;
                return Poll::Ready(Ok(()));
            }
        };
        self.broke(StreamFailure::from(&failure));
        self.handshake_failure = Some(failure.clone());
        Poll::Ready(Err(failure))
    }

    fn is_pinned(&self) -> bool {
        matches!(&self.side, Side::Client { config, .. } if config.is_pinned())
    }

    fn accepts_peer(&self) -> bool {
        match &self.side {
            Side::Client { config, .. } if config.is_pinned() => {
                config.accepts(self.tls.ssl().peer_certificate().as_deref())
            }
            _ => true,
        }
    }
}
