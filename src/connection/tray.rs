//! What lies between a connection and whoever holds it as a stream: bytes on their way up, bytes on their way down, and who is to be woken.
//!
//! ```text
//!   the application, on any thread                 the connection, in its actor's poll
//!   poll_write -----> outbox ------ fetch ------> the link's out-buffer --> socket
//!   poll_read  <----- inbox  <----- deliver ----- what the socket brought
//! ```
//!
//! The lock is held for a copy at most, and wakers are woken after it. Empty boxes hold no memory (law 8).

use std::{
    io::IoSlice,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{io::ReadBuf, sync::Notify, time::Instant};

use super::{Options, StreamError};
use crate::fate::Lost;

/// Below this size what was read is copied together; from it on, an empty inbox takes over the thread's buffer with the bytes in it.
const COPY_BELOW: usize = 4096;

/// The state that a connection shares with its stream.
pub(crate) struct Tray {
    inner: Mutex<Inner>,
    /// The drain has begun, or the connection has ended.
    pub(super) news: Notify,
}

pub(super) struct Inner {
    pub(super) inbox: BytesMut,
    /// Nothing more is delivered until the inbox has fallen to half of this.
    read_mark: usize,
    /// The connection was told to hold reading.
    held: bool,
    /// Why nothing more will come.
    pub(super) end: Option<ReadEnd>,
    pub(super) outbox: BytesMut,
    /// What waits in the connection's own out-buffer, as it last said.
    waiting: usize,
    write_high: usize,
    write_low: usize,
    /// The high mark was reached and the low one has not been since.
    full: bool,
    sealed: Option<StreamError>,
    /// Our direction is to be closed when the outbox is written.
    pub(super) shutdown: bool,
    /// Our direction is closed: what says so has left.
    pub(super) shut: bool,
    /// The stream was dropped.
    pub(super) released: bool,
    /// The end of the drain, once it has begun.
    pub(super) draining: Option<Instant>,
    pub(super) linger: Duration,
    pub(super) lost: Option<Box<Lost>>,
    connection: Option<Waker>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    due: [Option<Waker>; 3],
}

/// Why nothing more will come.
#[derive(Clone, Debug)]
pub(super) enum ReadEnd {
    /// The peer said so.
    Said,
    /// Something else: what came may be cut short.
    Cut(StreamError),
}

impl Tray {
    pub(super) fn new(read_mark: usize) -> Self {
        let inner = Inner {
            inbox: BytesMut::new(),
            read_mark: read_mark.max(1),
            held: false,
            end: None,
            outbox: BytesMut::new(),
            waiting: 0,
            write_high: 1,
            write_low: 0,
            full: false,
            sealed: None,
            shutdown: false,
            shut: false,
            released: false,
            draining: None,
            linger: Duration::ZERO,
            lost: None,
            connection: None,
            reader: None,
            writer: None,
            due: [const { None }; 3],
        };
        Tray { inner: Mutex::new(inner), news: Notify::new() }
    }

    /// Looks at it, or changes it; then wakes whom it concerns, without the lock.
    pub(super) fn with<R>(&self, what: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.lock();
        let answer = what(&mut inner);
        let due = std::mem::take(&mut inner.due);
        drop(inner);
        due.into_iter().flatten().for_each(Waker::wake);
        answer
    }

    /// How much was accepted and is not the connection's yet.
    pub(super) fn unsent(&self) -> usize {
        self.lock().outbox.len()
    }

    /// From here on nothing is accepted: the end is being written down.
    pub(super) fn seal(&self) {
        self.with(|inner| inner.seal(StreamError::Closing { cause: None }));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a panic elsewhere has left is whole: no critical section here calls anybody.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's side.
impl Inner {
    pub(super) fn take_marks(&mut self, options: &Options) {
        (self.write_high, self.write_low) = (options.write_high, options.write_low);
        self.linger = options.linger;
    }

    /// Takes what has come out of `data`. Whether reading is to be held.
    pub(super) fn deliver(&mut self, data: &mut BytesMut) -> bool {
        if self.released {
            data.clear();
            return false;
        }
        if self.inbox.is_empty() && data.len() >= COPY_BELOW {
            self.inbox = data.split();
        } else {
            self.inbox.extend_from_slice(data);
            data.clear();
        }
        self.held = self.inbox.len() >= self.read_mark;
        self.wake_reader();
        self.held
    }

    /// Whether reading, which was held, may go on.
    pub(super) fn releases_reading(&mut self) -> bool {
        self.held && (self.released || self.inbox.len() <= self.read_mark / 2) && {
            self.held = false;
            true
        }
    }

    /// Why nothing more comes; the first cause stands.
    pub(super) fn end_reading(&mut self, end: ReadEnd) {
        if self.end.is_none() {
            self.end = Some(end);
            self.wake_reader();
        }
    }

    /// Takes what was accepted, for the out-buffer, in which `waiting` bytes are already.
    pub(super) fn fetch(&mut self, waiting: usize, cx: &Context<'_>) -> Option<Bytes> {
        if !self.connection.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.connection = Some(cx.waker().clone());
        }
        let bytes = (!self.outbox.is_empty()).then(|| std::mem::take(&mut self.outbox).freeze());
        self.set_waiting(waiting + bytes.as_ref().map_or(0, Bytes::len));
        bytes
    }

    pub(super) fn set_waiting(&mut self, waiting: usize) {
        self.waiting = waiting;
        if self.full && self.unsent() <= self.write_low {
            self.full = false;
            self.wake_writer();
        } else if self.unsent() == 0 {
            // Whoever flushes.
            self.wake_writer();
        }
    }

    pub(super) fn set_shut(&mut self) {
        if !std::mem::replace(&mut self.shut, true) {
            self.wake_writer();
        }
    }

    /// Nothing more is accepted, for this reason; the first one stands.
    pub(super) fn seal(&mut self, error: StreamError) {
        if self.sealed.is_none() {
            self.sealed = Some(error);
            self.wake_writer();
        }
    }

    /// The end. From now on it is the last word, unless the application has had the one that concerns it.
    pub(super) fn lose(&mut self, lost: &Lost) {
        let error = StreamError::Lost(Box::new(lost.clone()));
        if !matches!(self.end, Some(ReadEnd::Said)) {
            self.end = Some(ReadEnd::Cut(error.clone()));
        }
        if !matches!(self.sealed, Some(StreamError::ShutDown)) {
            self.sealed = Some(error);
        }
        self.waiting = usize::try_from(lost.bytes_unsent).unwrap_or(usize::MAX);
        self.outbox = BytesMut::new();
        self.lost = Some(Box::new(lost.clone()));
        self.connection = None;
        self.wake_reader();
        self.wake_writer();
    }
}

/// The application's side.
impl Inner {
    /// Copies into `buf` what has come; nothing, when nothing will come.
    pub(super) fn read(&mut self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), StreamError>> {
        if self.inbox.is_empty() {
            return match &self.end {
                Some(ReadEnd::Said) => Poll::Ready(Ok(())),
                Some(ReadEnd::Cut(error)) => Poll::Ready(Err(error.clone())),
                None => {
                    self.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let n = self.inbox.len().min(buf.remaining());
        buf.put_slice(&self.inbox[..n]);
        match n == self.inbox.len() {
            true => self.inbox = BytesMut::new(),
            false => self.inbox.advance(n),
        }
        if self.held && self.inbox.len() <= self.read_mark / 2 {
            self.wake_connection();
        }
        Poll::Ready(Ok(()))
    }

    /// Accepts as much of `slices`, which are not empty, as there is room for.
    pub(super) fn write(&mut self, cx: &Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, StreamError>> {
        if let Some(error) = &self.sealed {
            return Poll::Ready(Err(error.clone()));
        }
        // Others may write to the connection, too, by its handle.
        self.full |= self.unsent() >= self.write_high;
        if self.full {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let was_empty = self.outbox.is_empty();
        let mut accepted = 0;
        for slice in slices {
            let n = slice.len().min(self.write_high.saturating_sub(self.unsent()));
            self.outbox.extend_from_slice(&slice[..n]);
            accepted += n;
        }
        self.full = self.unsent() >= self.write_high;
        if was_empty && accepted > 0 {
            self.wake_connection();
        }
        Poll::Ready(Ok(accepted))
    }

    /// Ready when everything that was accepted has been taken by the operating system.
    pub(super) fn flushed(&mut self, cx: &Context<'_>) -> Poll<Result<(), StreamError>> {
        match &self.lost {
            _ if self.unsent() == 0 => Poll::Ready(Ok(())),
            Some(lost) => Poll::Ready(Err(StreamError::Lost(lost.clone()))),
            None => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Closes our direction; ready when that was written.
    pub(super) fn shut_down(&mut self, cx: &Context<'_>) -> Poll<Result<(), StreamError>> {
        self.ask_shutdown();
        match &self.lost {
            _ if self.shut => Poll::Ready(Ok(())),
            Some(lost) => Poll::Ready(Err(StreamError::Lost(lost.clone()))),
            None => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn ask_shutdown(&mut self) {
        if !std::mem::replace(&mut self.shutdown, true) {
            self.seal(StreamError::ShutDown);
            self.wake_connection();
        }
    }

    /// The stream is dropped.
    pub(super) fn release(&mut self) {
        self.released = true;
        self.inbox = BytesMut::new();
        (self.reader, self.writer) = (None, None);
        self.wake_connection();
    }

    fn unsent(&self) -> usize {
        self.outbox.len() + self.waiting
    }

    fn wake_connection(&mut self) {
        // Kept, unlike the others: the connection registers it again only when it has changed.
        self.due[0] = self.connection.clone();
    }

    fn wake_reader(&mut self) {
        self.due[1] = self.reader.take().or(self.due[1].take());
    }

    fn wake_writer(&mut self) {
        self.due[2] = self.writer.take().or(self.due[2].take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Law 8: what was read and what was fetched leaves no memory behind.
    #[test]
    fn empty_boxes_hold_nothing() {
        let tray = Tray::new(1 << 20);
        let cx = Context::from_waker(Waker::noop());
        for size in [10, 100_000] {
            tray.with(|inner| inner.deliver(&mut BytesMut::from(&vec![1; size][..])));
            let mut read = vec![0; size];
            assert!(tray.with(|inner| inner.read(&cx, &mut ReadBuf::new(&mut read))).is_ready());
            tray.with(|inner| inner.take_marks(&Options::default()));
            assert!(tray.with(|inner| inner.write(&cx, &[IoSlice::new(&read)])).is_ready());
            assert_eq!(tray.with(|inner| inner.fetch(0, &cx)).map(|bytes| bytes.len()), Some(size));
            let inner = tray.lock();
            assert_eq!((inner.inbox.capacity(), inner.outbox.capacity()), (0, 0));
        }
    }
}
