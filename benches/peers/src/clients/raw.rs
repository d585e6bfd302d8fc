//! The limit: a bare tokio-openssl loop with a prepared request, at the settings that are best for it.

use std::{
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use openssl::ssl::{Ssl, SslContext, SslSession, SslSessionCacheMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_openssl::SslStream;

use super::{Client, Lane, bodies::Pieces};
use crate::{
    Result,
    setup::{Buffers, Setup},
};

/// What is asked, and how much of an answer there is.
pub trait Speech: 'static {
    const REQUEST: &'static [u8];
    const REPLY: usize;
}

/// A line of 100 bytes, which comes back.
pub struct Line;

impl Speech for Line {
    const REQUEST: &'static [u8] =
        b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n";
    const REPLY: usize = 100;
}

/// A GET whose answer has 100 bytes of body.
pub struct Http;

impl Speech for Http {
    const REQUEST: &'static [u8] = b"GET /bytes/100 HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n";
    const REPLY: usize = HEAD + 100;
}

/// The length of the server's head for a body of 100 bytes.
const HEAD: usize = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".len();

pub struct Raw<S> {
    tls: Tls,
    habits: Habits,
    speech: PhantomData<S>,
}

/// What was tried, and is not done unless it is asked for.
#[derive(Clone, Copy)]
struct Habits {
    frees_buffers: bool,
    quickack: bool,
}

/// A context with the sessions that its servers have given.
#[derive(Clone)]
pub struct Tls {
    context: SslContext,
    /// Each connection's own is made by it, where that is asked for.
    own: Option<Arc<Setup>>,
    port: u16,
    sessions: Option<Arc<Mutex<Vec<SslSession>>>>,
}

impl Tls {
    pub fn new(setup: &Setup) -> Result<Self> {
        let mut builder = setup.context()?;
        let sessions = setup.resume.then(|| Arc::new(Mutex::new(Vec::new())));
        if let Some(sessions) = sessions.clone() {
            builder.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
            builder.set_new_session_callback(move |_, session| {
                let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
                // A ticket of TLS 1.3 is for one use (RFC 8446, appendix C.4); the server gives two.
                sessions.truncate(8);
                sessions.push(session);
            });
        }
        let own = setup.own_context.then(|| Arc::new(setup.clone()));
        Ok(Tls { context: builder.build(), own, port: setup.port, sessions })
    }

    pub async fn connect(&self) -> Result<Pin<Box<SslStream<TcpStream>>>> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.set_nodelay(true)?;
        let mut ssl = match &self.own {
            None => Ssl::new(&self.context)?,
            Some(setup) => Ssl::new(&setup.context()?.build())?,
        };
        ssl.set_hostname("localhost")?;
        ssl.param_mut().set_host("localhost")?;
        if let Some(sessions) = &self.sessions
            && let Some(session) = sessions.lock().unwrap_or_else(PoisonError::into_inner).pop()
        {
            // SAFETY: the session comes from the callback of this very context.
            #[allow(unsafe_code)]
            unsafe {
                ssl.set_session(&session)?;
            }
        }
        let mut stream = Box::pin(SslStream::new(ssl, socket)?);
        stream.as_mut().connect().await?;
        Ok(stream)
    }
}

pub struct Stream<S> {
    stream: Pin<Box<SslStream<TcpStream>>>,
    habits: Habits,
    speech: PhantomData<S>,
}

impl<S> Clone for Raw<S> {
    fn clone(&self) -> Self {
        Raw { tls: self.tls.clone(), habits: self.habits, speech: PhantomData }
    }
}

impl<S: Speech> Client for Raw<S> {
    type Lane = Stream<S>;

    fn new(setup: &Setup) -> Result<Self> {
        let habits = Habits { frees_buffers: setup.buffers == Buffers::Freed, quickack: setup.quickack };
        Ok(Raw { tls: Tls::new(setup)?, habits, speech: PhantomData })
    }

    async fn lane(&self) -> Result<Stream<S>> {
        Ok(Stream { stream: self.tls.connect().await?, habits: self.habits, speech: PhantomData })
    }

    async fn once(&self) -> Result<()> {
        let mut lane = self.lane().await?;
        lane.ask().await?;
        lane.stream.shutdown().await?;
        lane.await_end().await
    }

    /// The loop that does the same as a graceful stop: close_notify to all, which waits for nobody; then each answer is read.
    async fn end(self, mut lanes: Vec<Stream<S>>) -> Result<()> {
        for lane in &mut lanes {
            lane.stream.shutdown().await?;
        }
        for mut lane in lanes {
            lane.await_end().await?;
        }
        Ok(())
    }
}

impl<S> Stream<S> {
    /// Reads until the server's close_notify.
    async fn await_end(&mut self) -> Result<()> {
        let mut rest = [0; 64];
        while self.stream.read(&mut rest).await? > 0 {}
        Ok(())
    }

    async fn take(&mut self, buffer: &mut [u8], mut bytes: u64) -> Result<()> {
        while bytes > 0 {
            match self.stream.read(buffer).await? {
                0 => return Err("the server closed in the middle of an answer".into()),
                n => bytes = bytes.saturating_sub(n as u64),
            }
            // Linux leaves that mode by itself, so it is asked for again and again.
            #[cfg(target_os = "linux")]
            if self.habits.quickack {
                rustix::net::sockopt::set_tcp_quickack(self.stream.get_ref(), true)?;
            }
        }
        if self.habits.frees_buffers {
            free_buffers(self.stream.ssl());
        }
        Ok(())
    }
}

#[cfg(not(feature = "aws-lc"))]
fn free_buffers(ssl: &openssl::ssl::SslRef) {
    #[allow(unsafe_code)]
    // SAFETY: the signature is that of OpenSSL 1.1.1 to 3.6, with the opaque structure as `void`.
    unsafe extern "C" {
        fn SSL_free_buffers(ssl: *mut std::ffi::c_void) -> std::ffi::c_int;
    }
    // SAFETY: `SslRef` is `foreign_types::Opaque`, so the reference is the live `SSL *`; one thread uses it. A whole answer was read, which the server writes as whole records:
    // no record is half read, which versions with CVE-2024-4741 would not bear.
    #[allow(unsafe_code)]
    unsafe {
        SSL_free_buffers(std::ptr::from_ref(ssl).cast_mut().cast());
    }
}

/// `--buffers freed` is refused there.
#[cfg(feature = "aws-lc")]
fn free_buffers(_: &openssl::ssl::SslRef) {}

impl<S: Speech> Lane for Stream<S> {
    async fn ask(&mut self) -> Result<()> {
        self.stream.write_all(S::REQUEST).await?;
        self.take(&mut [0; 4096], S::REPLY as u64).await
    }

    async fn download(&mut self, bytes: u64) -> Result<()> {
        let request = format!("GET /bytes/{bytes} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        // A record at a time is all that OpenSSL gives.
        self.take(&mut vec![0; 16 * 1024], head.len() as u64 + bytes).await
    }

    async fn upload(&mut self, bytes: u64) -> Result<()> {
        let head = format!("POST /upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await?;
        for piece in Pieces::new(bytes) {
            self.stream.write_all(&piece).await?;
        }
        self.take(&mut [0; 4096], "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".len() as u64).await
    }
}
