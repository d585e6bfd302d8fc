//! The scenes: what comes before `measured` is not counted.

use actix::{Actor, Addr};
use bytes::BytesMut;
use exeunt::{
    Adopt, Call, Handle, Io, Lines, Protocol, ProtocolError, Role, Socket, Supervisor,
    http::{Body, Exchange, HttpClient, Session},
};
use http_body_util::BodyExt;
use tokio::net::TcpListener;

use crate::{
    Result,
    nothing::Nothing,
    peer::{Peer, attend},
};

pub const NAMES: &[&str] = &["call", "get", "session", "life", "admission"];

pub fn play(name: &str, times: usize) -> Result<()> {
    let stage = Stage::new()?;
    match name {
        "call" => stage.call(times),
        "get" => stage.get(times),
        "session" => stage.session(times),
        "life" => stage.life(times),
        "admission" => stage.admission(times),
        other => Err(format!("there is no scene {other}; there are {}", NAMES.join(" ")).into()),
    }
}

/// What a pipe holds at most.
const PIPE: usize = 64 * 1024;

/// As is the library's default.
const SESSIONS: usize = 4;

struct Stage {
    system: actix::SystemRunner,
    supervisor: Addr<Supervisor>,
    peer: Peer,
}

/// What is collected: everything that happens until it returns.
#[inline(never)]
fn measured(work: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    work()
}

/// As often before it counts, for caches and capacities to be as they will be.
const WARM: usize = 50;

impl Stage {
    fn new() -> Result<Self> {
        let system = actix::System::new();
        let supervisor = system.block_on(async {
            // The supervisor looks at its connections once a second: by this clock, never.
            tokio::time::pause();
            Supervisor::new().start()
        });
        Ok(Stage { system, supervisor, peer: Peer::new(SESSIONS)? })
    }

    fn count(&self, times: usize, scene: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
        self.system.block_on(scene(WARM))?;
        measured(&mut || self.system.block_on(scene(times)))
    }

    async fn open<P: Protocol>(&self, protocol: P) -> Result<Handle<P>> {
        let adopt = Adopt::client(Socket::boxed(self.peer.socket(PIPE)), "localhost", &self.peer.tls, protocol);
        Ok(self.supervisor.send(adopt).await??)
    }

    /// A `Call` and its reply, 100 bytes each way.
    fn call(&self, times: usize) -> Result<()> {
        let connection = self.system.block_on(self.open(Lines::default()))?;
        let line = "x".repeat(99);
        self.count(times, async |times| {
            for _ in 0..times {
                connection.send(Call::new(line.clone())).await??;
            }
            Ok(())
        })
    }

    /// An `Exchange` on an HTTP connection: GET, a body of 100 bytes.
    fn get(&self, times: usize) -> Result<()> {
        let connection = self.system.block_on(self.open(HttpClient::new()))?;
        let uri: http::Uri = "https://localhost/bytes/100".parse()?;
        self.count(times, async |times| {
            for _ in 0..times {
                let request = http::Request::get(uri.clone()).header("host", "localhost").body(Body::empty())?;
                let response = connection.send(Exchange(request)).await??;
                response.into_body().collect().await?;
            }
            Ok(())
        })
    }

    /// A GET by the session: its pool, its deadlines, and the connection's part. It dials, so this one is over loopback, still on one thread.
    fn session(&self, times: usize) -> Result<()> {
        let port = self.system.block_on(listen(&self.peer))?;
        let session = self.system.block_on(async {
            let session = Session::builder().tls(&self.peer.tls).no_default_headers().header("accept", "*/*");
            session.decode(false).start(&self.supervisor)
        })?;
        let uri: http::Uri = format!("https://127.0.0.1:{port}/bytes/100").parse()?;
        self.count(times, async |times| {
            for _ in 0..times {
                let request = http::Request::get(uri.clone()).body(Body::empty())?;
                session.execute(request).await?.bytes().await?;
            }
            Ok(())
        })
    }

    /// A connection from its admission to its `Lost`: a resumed handshake, a call, a graceful close.
    fn life(&self, times: usize) -> Result<()> {
        self.count(times, async |times| {
            for _ in 0..times {
                let connection = self.open(Lines::default()).await?;
                connection.send(Call::new("ping")).await??;
                let lost = connection.close().await;
                if !lost.proof.close_notify_received {
                    return Err(lost.to_string().into());
                }
            }
            Ok(())
        })
    }

    /// A child that moves no byte: admitted, started, ended, told.
    fn admission(&self, times: usize) -> Result<()> {
        self.count(times, async |times| {
            for _ in 0..times {
                let adopt = Adopt::plain(Socket::boxed(Nothing), "nobody", Role::Client, Brief);
                let connection = self.supervisor.send(adopt).await??;
                connection.abort().await;
            }
            Ok(())
        })
    }
}

/// Listens, on the same thread, and says on which port.
async fn listen(peer: &Peer) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let context = peer.context.clone();
    actix::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            actix::spawn(attend(socket, context.clone()));
        }
    });
    Ok(port)
}

struct Brief;

impl Protocol for Brief {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> std::result::Result<(), ProtocolError> {
        data.clear();
        Ok(())
    }
}
