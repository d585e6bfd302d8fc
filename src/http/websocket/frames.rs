//! The frame library, over a stream: what is read and written, and no policy.
//!
//! tungstenite's buffers only ever grow, and an idle connection is to hold none that is large (law 8). So it is given no byte of a frame that has not begun ([`Metered`]), and where it rests between two messages after a
//! large one, it is made anew.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;
use tokio::io::AsyncWrite;
use tungstenite::{
    Error, Message as LibraryMessage,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use super::{Message, Text, WebSocketOptions, message::Farewell, metered::Metered};
use crate::connection::SupervisedStream;

/// What an idle WebSocket holds to be read into.
const READ_BUFFER: usize = 4 * 1024;

/// A message above this leaves buffers that are not worth keeping.
const LARGE: u64 = 16 * 1024;

pub(super) struct Frames {
    stream: SupervisedStream,
    metered: Metered,
    context: WebSocketContext,
    role: Role,
    config: WebSocketConfig,
    wakers: Arc<Wakers>,
    /// The largest message that was sent since the library was made.
    largest_sent: u64,
}

/// What has come.
pub(super) enum Incoming {
    Message(Message),
    /// A ping, which the library answers, or a pong.
    Alive,
    Close(Farewell),
    /// After the close frames.
    End,
}

impl Frames {
    pub(super) fn new(stream: SupervisedStream, role: Role, options: &WebSocketOptions) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // What the stream does not take is in nobody's way here.
            .write_buffer_size(0)
            .max_message_size(Some(options.max_message))
            .max_frame_size(Some(options.max_frame.map_or(options.max_message, |most| most.min(options.max_message))));
        Frames {
            stream,
            metered: Metered::default(),
            context: WebSocketContext::new(role, Some(config)),
            role,
            config,
            wakers: Arc::default(),
            largest_sent: 0,
        }
    }

    pub(super) fn stream(&self) -> &SupervisedStream {
        &self.stream
    }

    /// With the two wakers of a stream, of which each may wait in a task of its own, as one: reading writes pongs, too.
    fn with<R>(&mut self, what: impl FnOnce(&mut WebSocketContext, &mut Polled<'_>) -> R) -> R {
        let waker = Waker::from(self.wakers.clone());
        let mut polled = Polled { stream: &mut self.stream, metered: &mut self.metered, waker };
        what(&mut self.context, &mut polled)
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, Error>> {
        self.wakers.reader.register(cx.waker());
        Poll::Ready(Ok(match self.with(|context, stream| context.read(stream)) {
            Ok(LibraryMessage::Text(text)) => Incoming::Message(Message::Text(Text(text))),
            Ok(LibraryMessage::Binary(bytes)) => Incoming::Message(Message::Binary(bytes)),
            Ok(LibraryMessage::Close(frame)) => Incoming::Close(Farewell::of_library(frame)),
            Ok(LibraryMessage::Ping(_) | LibraryMessage::Pong(_) | LibraryMessage::Frame(_)) => Incoming::Alive,
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Incoming::End,
            Err(error) if would_block(&error) => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }))
    }

    /// Accepts a message, whatever waits already: see [`poll_accepted`](Frames::poll_accepted).
    pub(super) fn send(&mut self, message: LibraryMessage) -> Result<(), Error> {
        self.largest_sent = self.largest_sent.max(message.len() as u64);
        accepted(self.with(|context, stream| context.write(stream, message)))
    }

    /// Sends a close frame, unless one was sent.
    pub(super) fn close(&mut self, farewell: Farewell) -> Result<(), Error> {
        accepted(self.with(|context, stream| context.close(stream, farewell.into_library())))
    }

    /// Ready when the stream has accepted all: for whoever waits to write. Who reads is woken all the same.
    pub(super) fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wakers.writer.register(cx.waker());
        self.try_flush()
    }

    /// Gives the stream what it takes, for whoever reads.
    pub(super) fn try_flush(&mut self) -> Poll<Result<(), Error>> {
        match self.with(|context, stream| context.flush(stream)) {
            Err(error) if would_block(&error) => Poll::Pending,
            // Both close frames are out.
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }

    /// Ready when the operating system has taken all.
    pub(super) fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        std::task::ready!(self.poll_accepted(cx))?;
        let waker = Waker::from(self.wakers.clone());
        Pin::new(&mut self.stream).poll_flush(&mut Context::from_waker(&waker)).map_err(Error::Io)
    }

    /// Nothing has come: gives back what a large message has left.
    pub(super) fn rest(&mut self) {
        let large = self.metered.longest().max(self.largest_sent) > LARGE;
        let open = self.context.can_read() && self.context.can_write();
        if large && open && self.metered.is_between_messages() && self.try_flush().is_ready() {
            self.context = WebSocketContext::new(self.role, Some(self.config));
            self.metered = Metered::default();
            self.largest_sent = 0;
        }
    }
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// What was queued is accepted.
fn accepted(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if would_block(&error) => Ok(()),
        Err(Error::ConnectionClosed) => Ok(()),
        result => result,
    }
}

/// The tasks that wait for either direction.
#[derive(Default)]
struct Wakers {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

/// The stream as the library wants it: what would wait says `WouldBlock`.
struct Polled<'a> {
    stream: &'a mut SupervisedStream,
    metered: &'a mut Metered,
    waker: Waker,
}

impl Read for Polled<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        ready(self.metered.poll_read(self.stream, &mut Context::from_waker(&self.waker), bytes))
    }
}

impl Write for Polled<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ready(Pin::new(&mut *self.stream).poll_write(&mut Context::from_waker(&self.waker), bytes))
    }

    /// What the stream has accepted, it writes by itself.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ready<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
