//! TLS without manners, for simulated peers: tokio_openssl's stream, which does what it is told, and nothing of the close recipe by itself.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion},
    x509::X509,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_openssl::SslStream;

use super::{Quiet, TlsConfigError, compat};

/// What bare streams are made with: a client that believes anybody, and a server with this identity.
pub(crate) struct BareTls {
    client: SslContext,
    server: SslContext,
}

const DOING: &str = "make a simulated peer";

impl BareTls {
    pub(crate) fn new(certificate: &str, key: &str) -> Result<BareTls, TlsConfigError> {
        let contexts = || {
            let mut client = SslContext::builder(SslMethod::tls_client())?;
            client.set_verify(SslVerifyMode::NONE);
            let mut server = SslContext::builder(SslMethod::tls_server())?;
            server.set_certificate(&*X509::from_pem(certificate.as_bytes())?)?;
            server.set_private_key(&*PKey::private_key_from_pem(key.as_bytes())?)?;
            // A ticket that is resumed wants it from a server; any value does.
            server.set_session_id_context(b"sim")?;
            Ok(BareTls { client: client.build(), server: server.build() })
        };
        contexts().map_err(TlsConfigError::library(DOING))
    }

    /// `old`: TLS 1.2 at most. `tickets`: how many a server sends after the handshake of TLS 1.3; `None` for OpenSSL's two. AWS-LC does not let itself be told.
    pub(crate) fn stream<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        server: bool,
        old: bool,
        tickets: Option<usize>,
        socket: S,
    ) -> Result<BareStream<S>, TlsConfigError> {
        let stream = || {
            let mut ssl = Ssl::new(if server { &self.server } else { &self.client })?;
            if old {
                ssl.set_max_proto_version(Some(SslVersion::TLS1_2))?;
            }
            #[cfg(not(feature = "aws-lc"))]
            if let Some(tickets) = tickets.filter(|_| server) {
                ssl.set_num_tickets(tickets)?;
            }
            #[cfg(feature = "aws-lc")]
            let _ = tickets;
            Ok(Box::pin(SslStream::new(ssl, Quiet(socket))?))
        };
        Ok(BareStream { server, tls: stream().map_err(TlsConfigError::library(DOING))? })
    }
}

/// Shutting it down sends close_notify alone; a FIN without close_notify is an error of its read.
pub(crate) struct BareStream<S> {
    server: bool,
    tls: Pin<Box<SslStream<Quiet<S>>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> BareStream<S> {
    pub(crate) async fn shake_hands(&mut self) -> io::Result<()> {
        let shaken = match self.server {
            true => self.tls.as_mut().accept().await,
            false => self.tls.as_mut().connect().await,
        };
        shaken.map_err(io::Error::other)
    }

    /// Answers whether it was done: see [`compat::awkward`].
    pub(crate) async fn awkward(&mut self, what: compat::Awkward) -> io::Result<bool> {
        if !compat::awkward(self.tls.ssl(), what) {
            return Ok(false);
        }
        // Writes the message. A renegotiation goes on when the other's answer is read.
        poll_fn(|cx| match self.tls.as_mut().poll_do_handshake(cx) {
            Poll::Pending if what == compat::Awkward::Renegotiation => Poll::Ready(Ok(())),
            done => done,
        })
        .await
        .map_err(io::Error::other)?;
        Ok(true)
    }

    /// What is below TLS.
    pub(crate) fn socket(&mut self) -> &mut S {
        &mut self.tls.get_mut().0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for BareStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = self.tls.as_mut().poll_read(cx, buf);
        // tokio_openssl takes some failures for an end, too.
        match read {
            Poll::Ready(Ok(())) if buf.filled().len() == before && !compat::is_close_notify(self.tls.ssl()) => {
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            read => read,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for BareStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.tls.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.as_mut().poll_shutdown(cx)
    }
}
