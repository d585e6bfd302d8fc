//! A pipe that can be reset, and a protocol that does nothing unasked.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context as TaskContext, Poll},
};

use actix::Handler;
use bytes::BytesMut;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::{Connection, Handle, Io, Lost, Protocol, ProtocolError, ticket::Liveness};

/// What a peer is owed that does not read: more than a pipe holds.
const ANSWER: usize = 256 * 1024;

/// Our end of a pipe, which can be reset.
pub(super) struct Wire(pub(super) DuplexStream, pub(super) Arc<Cut>);

#[derive(Default)]
pub(super) struct Cut {
    pub(super) is_cut: AtomicBool,
    pub(super) owner_gone: AtomicBool,
    pub(super) waker: AtomicWaker,
}

impl Liveness for Cut {
    fn is_alive(&self) -> bool {
        !self.owner_gone.load(SeqCst)
    }
}

impl Wire {
    fn check(&self, cx: &TaskContext<'_>) -> io::Result<()> {
        self.1.waker.register(cx.waker());
        if self.1.is_cut.load(SeqCst) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What a protocol has seen.
#[derive(Default)]
pub(super) struct Script {
    pub(super) connected: u8,
    pub(super) ends_of_stream: u8,
    pub(super) lost: Vec<Lost>,
    pub(super) after_lost: bool,
    pub(super) handle: Option<Handle<Player>>,
}

/// Answers at length, and closes only when it is told to.
pub(super) struct Player(pub(super) Arc<Mutex<Script>>);

impl Player {
    fn script(&self) -> MutexGuard<'_, Script> {
        let mut script = self.0.lock().unwrap();
        script.after_lost |= !script.lost.is_empty();
        script
    }
}

impl Protocol for Player {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        let mut script = self.script();
        script.connected += 1;
        script.handle = Some(io.handle());
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        drop(self.script());
        data.clear();
        io.write_bytes(vec![7; ANSWER].into());
        Ok(())
    }

    fn end_of_stream(&mut self, _: &mut Io<'_, Self>, _: crate::EndOfStream) {
        self.script().ends_of_stream += 1;
    }

    fn drain(&mut self, _: &mut Io<'_, Self>, _: tokio::time::Instant) {}

    fn lost(&mut self, lost: &Lost) {
        self.script().lost.push(lost.clone());
    }
}

#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct Explode;

impl Handler<Explode> for Connection<Player> {
    type Result = ();

    fn handle(&mut self, _: Explode, _: &mut Self::Context) {
        panic!("as the model has it");
    }
}
