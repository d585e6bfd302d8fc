//! Asking for a connection as a stream.

use actix::{Addr, Handler, Message, dev::ToEnvelope};
use tokio::sync::oneshot;

use super::{Adopt, Connect, Supervisor};
use crate::{
    connection::{ConnectError, Handle, Streamed, SupervisedStream},
    ticket::Refusal,
};

impl Connect<Streamed> {
    /// Asks this supervisor for the connection, and gives it as a stream. Dropping the future cancels the connect. It takes the place of what [`Streamed::then`] was given.
    ///
    /// # Errors
    /// As the message's answer; a supervisor that is gone refuses as one that is stopping.
    pub async fn open(self, supervisor: &Addr<Supervisor>) -> Result<SupervisedStream, ConnectError> {
        let (stream, taken) = oneshot::channel();
        ask(supervisor, self.map_protocol(|streamed| streamed.then(|taken| drop(stream.send(taken)))), taken).await
    }
}

impl Adopt<Streamed> {
    /// Gives this supervisor the socket, and gives the connection as a stream: as [`Connect::open`].
    ///
    /// # Errors
    /// As the message's answer; a supervisor that is gone refuses as one that is stopping.
    pub async fn open(self, supervisor: &Addr<Supervisor>) -> Result<SupervisedStream, ConnectError> {
        let (stream, taken) = oneshot::channel();
        ask(supervisor, self.map_protocol(|streamed| streamed.then(|taken| drop(stream.send(taken)))), taken).await
    }
}

async fn ask<M>(
    supervisor: &Addr<Supervisor>,
    message: M,
    stream: oneshot::Receiver<SupervisedStream>,
) -> Result<SupervisedStream, ConnectError>
where
    M: Message<Result = Result<Handle<Streamed>, ConnectError>> + Send + 'static,
    Supervisor: Handler<M>,
    <Supervisor as actix::Actor>::Context: ToEnvelope<Supervisor, M>,
{
    let answer = supervisor.send(message).await.map_err(|_| ConnectError::Refused(Refusal::Stopping))?;
    let handle = answer?;
    match stream.await {
        Ok(stream) => Ok(stream),
        // It was taken away between its opening and now: its thread is gone.
        Err(_) => Err(ConnectError::Lost(Box::new(handle.close().await))),
    }
}
