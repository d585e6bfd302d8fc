//! The other end, on the same thread: bare tokio-openssl, over a pipe in memory or whatever socket is attended. Both `peers` and `micro` have it as a module.

use std::{cell::RefCell, future::poll_fn, pin::Pin, task::ready};

use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslContext, SslMethod},
    x509::X509,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_openssl::SslStream;

use crate::Result;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

pub struct Peer {
    pub context: SslContext,
    pub tls: exeunt::ClientTls,
}

impl Peer {
    /// `sessions`: how many the client keeps, to resume them.
    pub fn new(sessions: usize) -> Result<Self> {
        let signed = exeunt::tls::self_signed(&["localhost", "127.0.0.1"])?;
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        acceptor.set_certificate(&*X509::from_pem(signed.certificate_pem.as_bytes())?)?;
        acceptor.set_private_key(&*PKey::private_key_from_pem(signed.key_pem.as_bytes())?)?;
        acceptor.set_session_id_context(b"peer")?;
        let tls = exeunt::ClientTls::builder().trust_pem(&signed.ca_pem).resumption_limits(sessions, 1024).build()?;
        Ok(Peer { context: acceptor.build().into_context(), tls })
    }

    /// A socket whose other end says what came, or answers a request. `holds`: what each direction of it holds at most.
    pub fn socket(&self, holds: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(holds);
        actix::spawn(attend(theirs, self.context.clone()));
        ours
    }
}

thread_local! {
    static BUFFER: RefCell<[u8; 4096]> = const { RefCell::new([0; 4096]) };
}

/// What comes goes back, a request is answered, and so is a close_notify.
pub async fn attend(socket: impl AsyncRead + AsyncWrite, context: SslContext) {
    let Ok(stream) = Ssl::new(&context).and_then(|ssl| SslStream::new(ssl, socket)) else { return };
    let mut stream = Box::pin(stream);
    if stream.as_mut().accept().await.is_err() {
        return;
    }
    loop {
        let read = poll_fn(|cx| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut into = ReadBuf::new(buffer);
                ready!(Pin::new(&mut stream).poll_read(cx, &mut into))?;
                std::task::Poll::Ready(std::io::Result::Ok(into.filled().to_vec()))
            })
        });
        let Ok(bytes) = read.await else { return };
        let said = match bytes.as_slice() {
            [] => break,
            request if request.starts_with(b"GET ") => RESPONSE,
            line => line,
        };
        if stream.write_all(said).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}
