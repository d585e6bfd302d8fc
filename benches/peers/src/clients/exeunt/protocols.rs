//! A protocol of one's own, for long transfers: what comes is counted where it is read, what goes is given by `Write` messages, which are slowed by the peer.

use actix::{Context, Handler, Message};
use bytes::BytesMut;
use exeunt::{Connection, Handle, Io, Parked, Protocol, ProtocolError, Reply};

use super::{
    super::{Client, Lane, bodies::Pieces},
    Stage,
};
use crate::{Result, setup::Setup};

/// Waits for so many bytes.
#[derive(Default)]
pub struct Counter {
    awaited: u64,
    asked: Option<Reply<()>>,
}

impl Protocol for Counter {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> std::result::Result<(), ProtocolError> {
        self.awaited = self.awaited.saturating_sub(data.len() as u64);
        data.clear();
        if self.awaited == 0
            && let Some(asked) = self.asked.take()
        {
            asked.send(());
        }
        Ok(())
    }
}

/// Writes this, and answers when so many bytes have come.
#[derive(Message)]
#[rtype(result = "()")]
struct Await {
    request: String,
    bytes: u64,
}

impl Handler<Await> for Connection<Counter> {
    type Result = Parked<()>;

    fn handle(&mut self, Await { request, bytes }: Await, context: &mut Context<Self>) -> Parked<()> {
        let (counter, mut io) = self.parts(context);
        io.write(request.as_bytes());
        let (reply, parked) = Reply::later();
        *counter = Counter { awaited: bytes, asked: Some(reply) };
        parked
    }
}

#[derive(Clone)]
pub struct Protocols(Stage);

impl Client for Protocols {
    type Lane = Handle<Counter>;

    fn new(setup: &Setup) -> Result<Self> {
        Stage::new(setup).map(Protocols)
    }

    async fn lane(&self) -> Result<Handle<Counter>> {
        Ok(self.0.supervisor.send(self.0.connect(Counter::default())?).await??)
    }

    async fn once(&self) -> Result<()> {
        let mut lane = self.lane().await?;
        lane.ask().await?;
        lane.close().await;
        Ok(())
    }
}

impl Lane for Handle<Counter> {
    async fn ask(&mut self) -> Result<()> {
        Ok(self.send(Await { request: format!("{}\n", "x".repeat(99)), bytes: 100 }).await?)
    }

    async fn download(&mut self, bytes: u64) -> Result<()> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n").len() as u64;
        let request = format!("GET /bytes/{bytes} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        Ok(self.send(Await { request, bytes: head + bytes }).await?)
    }

    async fn upload(&mut self, bytes: u64) -> Result<()> {
        let request = format!("POST /upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n");
        let reply = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".len() as u64;
        let done = self.send(Await { request, bytes: reply });
        for piece in Pieces::new(bytes) {
            self.write(piece).await?;
        }
        Ok(done.await?)
    }
}
