//! How a connection is reached from outside.

use std::{fmt, sync::Arc};

use actix::{Addr, Handler, Message, dev::ToEnvelope};
use bytes::Bytes;

use super::{
    Abort, Close, Connection, Flush, GetInfo, HalfClose, Info, PauseReading, Protocol, ResumeReading, StartTls,
    StopTls, SwitchError, Write, WriteError,
};
use crate::{
    fate::{ConnectionId, Lost, Peer},
    lifecycle::Phase,
    ticket::Entry,
};

/// The address of a connection, which still knows how the connection ended when it has.
///
/// [`send`](Handle::send) is [`Addr::send`] but for its error: where actix says `Closed`, this says how and why the connection ended. When the last handle (and the last
/// `Addr`) is dropped, the connection closes gracefully.
pub struct Handle<P: Protocol> {
    address: Addr<Connection<P>>,
    entry: Arc<Entry>,
}

impl<P: Protocol> Handle<P> {
    pub(crate) fn new(address: Addr<Connection<P>>, entry: Arc<Entry>) -> Self {
        Handle { address, entry }
    }

    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.entry.id
    }

    /// To whom.
    pub fn peer(&self) -> Peer {
        self.entry.peer()
    }

    /// Where in its life the connection is, as its thread last said.
    pub fn phase(&self) -> Phase {
        self.entry.phase()
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// How it ended, once it has.
    pub fn lost(&self) -> Option<Lost> {
        self.entry.lost().cloned()
    }

    /// The plain actix address, to make a `Recipient` of, say.
    pub fn address(&self) -> &Addr<Connection<P>> {
        &self.address
    }

    /// Sends a message now; awaiting the future gives the answer. Dropping the future before the message was handled takes it back, as everywhere in actix.
    pub fn send<M>(&self, message: M) -> impl Future<Output = Result<M::Result, Ended>> + use<M, P>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Connection<P>: Handler<M>,
        <Connection<P> as actix::Actor>::Context: ToEnvelope<Connection<P>, M>,
    {
        let request = self.address.send(message);
        let entry = self.entry.clone();
        async move { request.await.map_err(|_| Ended { lost: entry.lost().cloned().map(Box::new) }) }
    }

    /// Sends a message and asks for no answer. It is dropped when the connection has ended.
    pub fn do_send<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Connection<P>: Handler<M>,
        <Connection<P> as actix::Actor>::Context: ToEnvelope<Connection<P>, M>,
    {
        self.address.do_send(message);
    }

    /// [`Write`], with its two errors in one.
    pub async fn write(&self, bytes: impl Into<Bytes>) -> Result<(), WriteError> {
        flat(self.send(Write(bytes.into())).await)
    }

    /// [`Flush`], with its two errors in one.
    pub async fn flush(&self) -> Result<(), WriteError> {
        flat(self.send(Flush).await)
    }

    /// [`Close`]: the end, also when it had ended before.
    pub async fn close(&self) -> Lost {
        self.end_of(self.send(Close::new()).await)
    }

    /// [`Abort`]: the end, also when it had ended before.
    pub async fn abort(&self) -> Lost {
        self.end_of(self.send(Abort).await)
    }

    /// [`HalfClose`].
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn half_close(&self) -> Result<(), Ended> {
        self.send(HalfClose).await
    }

    /// [`PauseReading`].
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn pause_reading(&self) -> Result<(), Ended> {
        self.send(PauseReading).await
    }

    /// [`ResumeReading`].
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn resume_reading(&self) -> Result<(), Ended> {
        self.send(ResumeReading).await
    }

    /// [`StartTls`], with its two errors in one.
    pub async fn start_tls(&self, start: StartTls) -> Result<(), SwitchError> {
        switched(self.send(start).await)
    }

    /// [`StopTls`], with its two errors in one.
    pub async fn stop_tls(&self) -> Result<(), SwitchError> {
        switched(self.send(StopTls).await)
    }

    /// [`GetInfo`].
    pub async fn info(&self) -> Result<Info, Ended> {
        self.send(GetInfo).await
    }

    fn end_of(&self, answer: Result<Lost, Ended>) -> Lost {
        answer.unwrap_or_else(|ended| match ended.lost {
            Some(lost) => *lost,
            None => self.entry.lost_without_account(),
        })
    }
}

fn flat(answer: Result<Result<(), WriteError>, Ended>) -> Result<(), WriteError> {
    answer.unwrap_or_else(|ended| Err(ended.lost.map_or(WriteError::Closing, WriteError::Lost)))
}

fn switched(answer: Result<Result<(), SwitchError>, Ended>) -> Result<(), SwitchError> {
    answer.unwrap_or_else(|ended| Err(ended.lost.map_or(SwitchError::Closing, SwitchError::Lost)))
}

impl<P: Protocol> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Handle { address: self.address.clone(), entry: self.entry.clone() }
    }
}

impl<P: Protocol> fmt::Debug for Handle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.id())
            .field("peer", &self.peer())
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// A message could not be answered, because the connection has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended. `None`: it is still alive, and the handler of this message dropped its answer.
    pub lost: Option<Box<Lost>>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lost {
            Some(lost) => write!(f, "the message was not answered: {lost}"),
            None => f.write_str("the message was not answered: its handler dropped the answer"),
        }
    }
}

impl std::error::Error for Ended {}
