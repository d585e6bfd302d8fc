//! A server that does what its script says, and nothing that a well-behaved one would: bytes, ends and silences at any place.

use std::{
    cell::Cell,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::LazyLock,
    task::{Context, Poll},
};

use exeunt::{
    ClientTls,
    sim::Quiet,
    tls::{SelfSigned, self_signed},
};
use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslContext, SslContextBuilder, SslMethod},
    x509::X509,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_openssl::SslStream;

pub static IDENTITY: LazyLock<SelfSigned> = LazyLock::new(|| self_signed(&["localhost", "127.0.0.1"]).unwrap());

pub fn client_tls() -> ClientTls {
    ClientTls::builder().trust_pem(&IDENTITY.ca_pem).build().unwrap()
}

/// Without ALPN.
static ACCEPTOR: LazyLock<SslContext> = LazyLock::new(|| acceptor().build());

/// Chooses HTTP/2.
static HTTP2_ACCEPTOR: LazyLock<SslContext> = LazyLock::new(|| {
    let mut context = acceptor();
    context.set_alpn_select_callback(|_, offered| {
        openssl::ssl::select_next_proto(b"\x02h2", offered).ok_or(openssl::ssl::AlpnError::ALERT_FATAL)
    });
    context.build()
});

fn acceptor() -> SslContextBuilder {
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_certificate(&X509::from_pem(IDENTITY.certificate_pem.as_bytes()).unwrap()).unwrap();
    context.set_private_key(&PKey::private_key_from_pem(IDENTITY.key_pem.as_bytes()).unwrap()).unwrap();
    context
}

pub fn server_ssl() -> Ssl {
    Ssl::new(&ACCEPTOR).unwrap()
}

/// The peer's end of one connection.
pub enum Peer {
    Tls(SslStream<Quiet<TcpStream>>),
    Plain(TcpStream),
}

/// How a peer ends its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    CloseNotify,
    Fin,
    Reset,
}

impl Peer {
    /// A request's head, up to its empty line, in lower case where it is a name. Empty: the client has ended.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.read(&mut byte).await {
                Ok(1) => head.push(byte[0]),
                _ => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// So many bytes of a body.
    pub async fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.read(&mut body[filled..]).await {
                Ok(n) if n > 0 => filled += n,
                _ => break,
            }
        }
        body.truncate(filled);
        body
    }

    pub async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Peer::Tls(tls) => tls.read(buffer).await,
            Peer::Plain(tcp) => tcp.read(buffer).await,
        }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        match self {
            Peer::Tls(tls) => tls.write_all(bytes.as_ref()).await.is_ok(),
            Peer::Plain(tcp) => tcp.write_all(bytes.as_ref()).await.is_ok(),
        }
    }

    /// Reads a request without a body and answers it.
    pub async fn answer(&mut self, response: impl AsRef<[u8]>) -> String {
        let head = self.head().await;
        if !head.is_empty() {
            self.write(response).await;
        }
        head
    }

    /// Ends our direction.
    pub async fn end(mut self, end: End) {
        match (&mut self, end) {
            (Peer::Tls(tls), End::CloseNotify) => {
                let _ = tls.shutdown().await;
                self.read_to_end().await;
            }
            (Peer::Tls(tls), End::Fin) => {
                let _ = tls.get_mut().0.shutdown().await;
                self.read_to_end().await;
            }
            (Peer::Plain(tcp), End::CloseNotify | End::Fin) => {
                let _ = tcp.shutdown().await;
                self.read_to_end().await;
            }
            (Peer::Tls(tls), End::Reset) => reset(&tls.get_ref().0),
            (Peer::Plain(tcp), End::Reset) => reset(tcp),
        }
    }

    /// Reads what the client still says, to its end.
    pub async fn read_to_end(&mut self) {
        let mut rest = [0; 4096];
        while matches!(self.read(&mut rest).await, Ok(n) if n > 0) {}
    }

    /// Says nothing more, and waits until the client is gone.
    pub async fn silence(mut self) {
        self.read_to_end().await;
    }
}

/// So that a library may speak over it. Its shutdown is close_notify, or without TLS the FIN.
impl AsyncRead for Peer {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Peer::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
            Peer::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Peer::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Peer::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Peer::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Peer::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Peer::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Peer::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
        }
    }
}

fn reset(tcp: &TcpStream) {
    socket2::SockRef::from(tcp).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

/// A server on a port of its own: `script` is what each connection does, told its number from 0.
pub struct Server {
    pub address: SocketAddr,
    accepted: Rc<Cell<usize>>,
}

impl Server {
    pub async fn tls<F: Future<Output = ()> + 'static>(script: impl Fn(Peer, usize) -> F + 'static) -> Self {
        Server::with(Some(&ACCEPTOR), script).await
    }

    /// With HTTP/2 chosen by ALPN.
    pub async fn http2<F: Future<Output = ()> + 'static>(script: impl Fn(Peer, usize) -> F + 'static) -> Self {
        Server::with(Some(&HTTP2_ACCEPTOR), script).await
    }

    pub async fn plain<F: Future<Output = ()> + 'static>(script: impl Fn(Peer, usize) -> F + 'static) -> Self {
        Server::with(None, script).await
    }

    async fn with<F: Future<Output = ()> + 'static>(
        tls: Option<&'static SslContext>,
        script: impl Fn(Peer, usize) -> F + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Rc::new(Cell::new(0));
        let (count, script) = (accepted.clone(), Rc::new(script));
        actix_rt::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let number = count.replace(count.get() + 1);
                let script = script.clone();
                actix_rt::spawn(async move {
                    tcp.set_nodelay(true).unwrap();
                    let peer = match tls {
                        Some(tls) => {
                            let mut tls = SslStream::new(Ssl::new(tls).unwrap(), Quiet(tcp)).unwrap();
                            if Pin::new(&mut tls).accept().await.is_err() {
                                return;
                            }
                            Peer::Tls(tls)
                        }
                        None => Peer::Plain(tcp),
                    };
                    script(peer, number).await;
                });
            }
        });
        Server { address, accepted }
    }

    /// Connections that were accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.get()
    }

    pub fn https(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.address.port())
    }
}
