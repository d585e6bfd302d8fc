//! How a connection is reached by those who do not care what it speaks.

use std::{any::Any, fmt};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Ended, Handle, Info, Protocol, StartTls, SwitchError, WriteError};
use crate::{
    fate::{ConnectionId, Lost, Peer},
    lifecycle::Phase,
    ticket::Entry,
};

/// A [`Handle`] of a connection, whatever its protocol. It keeps the connection open as any other handle does. Cheap to clone.
///
/// ```no_run
/// # async fn example(connection: exeunt::Handle<exeunt::Lines>) {
/// use exeunt::{AnyHandle, Lines};
///
/// let any = AnyHandle::from(connection);
/// println!("{}", any.peer());
/// assert!(any.downcast_ref::<Lines>().is_some());
/// println!("{}", any.close().await);
/// # }
/// ```
#[derive(Clone)]
pub struct AnyHandle(std::sync::Arc<dyn Reach>);

impl AnyHandle {
    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.0.entry().id
    }

    /// To whom.
    pub fn peer(&self) -> Peer {
        self.0.entry().peer()
    }

    /// Where in its life the connection is, as its thread last said.
    pub fn phase(&self) -> Phase {
        self.0.entry().phase()
    }

    /// How it ended, once it has.
    pub fn lost(&self) -> Option<Lost> {
        self.0.entry().lost().cloned()
    }

    /// The handle itself, if this is what the connection speaks.
    pub fn downcast_ref<P: Protocol>(&self) -> Option<&Handle<P>> {
        self.0.any().downcast_ref()
    }

    /// [`GetInfo`](super::GetInfo).
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn info(&self) -> Result<Info, Ended> {
        self.0.info().await
    }

    /// [`Write`](super::Write), with its two errors in one.
    ///
    /// # Errors
    /// As those of the message, or the connection has ended.
    pub async fn write(&self, bytes: impl Into<Bytes>) -> Result<(), WriteError> {
        self.0.write(bytes.into()).await
    }

    /// [`Flush`](super::Flush), with its two errors in one.
    ///
    /// # Errors
    /// As those of the message, or the connection has ended.
    pub async fn flush(&self) -> Result<(), WriteError> {
        self.0.flush().await
    }

    /// [`Close`](super::Close): the end, also when it had ended before.
    pub async fn close(&self) -> Lost {
        self.0.close().await
    }

    /// [`Abort`](super::Abort): the end, also when it had ended before.
    pub async fn abort(&self) -> Lost {
        self.0.abort().await
    }

    /// [`StartTls`], with its two errors in one.
    ///
    /// # Errors
    /// As those of the message, or the connection has ended.
    pub async fn start_tls(&self, start: StartTls) -> Result<(), SwitchError> {
        self.0.start_tls(start).await
    }

    /// [`StopTls`](super::StopTls), with its two errors in one.
    ///
    /// # Errors
    /// As those of the message, or the connection has ended.
    pub async fn stop_tls(&self) -> Result<(), SwitchError> {
        self.0.stop_tls().await
    }
}

impl<P: Protocol> From<Handle<P>> for AnyHandle {
    fn from(handle: Handle<P>) -> Self {
        AnyHandle(std::sync::Arc::new(handle))
    }
}

impl fmt::Debug for AnyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyHandle")
            .field("id", &self.id())
            .field("peer", &self.peer())
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// What every handle can do, as an object: one pointer, where a recipient for each message would be one for each.
trait Reach: Send + Sync {
    fn entry(&self) -> &Entry;
    fn any(&self) -> &dyn Any;
    fn info(&self) -> BoxFuture<'_, Result<Info, Ended>>;
    fn write(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), WriteError>>;
    fn flush(&self) -> BoxFuture<'_, Result<(), WriteError>>;
    fn close(&self) -> BoxFuture<'_, Lost>;
    fn abort(&self) -> BoxFuture<'_, Lost>;
    fn start_tls(&self, start: StartTls) -> BoxFuture<'_, Result<(), SwitchError>>;
    fn stop_tls(&self) -> BoxFuture<'_, Result<(), SwitchError>>;
}

impl<P: Protocol> Reach for Handle<P> {
    fn entry(&self) -> &Entry {
        Handle::entry(self)
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn info(&self) -> BoxFuture<'_, Result<Info, Ended>> {
        Box::pin(Handle::info(self))
    }

    fn write(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(Handle::write(self, bytes))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(Handle::flush(self))
    }

    fn close(&self) -> BoxFuture<'_, Lost> {
        Box::pin(Handle::close(self))
    }

    fn abort(&self) -> BoxFuture<'_, Lost> {
        Box::pin(Handle::abort(self))
    }

    fn start_tls(&self, start: StartTls) -> BoxFuture<'_, Result<(), SwitchError>> {
        Box::pin(Handle::start_tls(self, start))
    }

    fn stop_tls(&self) -> BoxFuture<'_, Result<(), SwitchError>> {
        Box::pin(Handle::stop_tls(self))
    }
}
