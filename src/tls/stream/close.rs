//! The close of a stream: our close_notify, and only later our FIN.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::{CUT_SHORT, TlsStream};
use crate::tls::{ReadEvent, Socket, StreamFailure, compat};

impl TlsStream {
    /// Sends our close_notify, and nothing else: no FIN, no wait for the peer's. Once it is done it stays done. To be called when nothing is left to write.
    ///
    /// It fails with what failed before: after a fatal error no alert may follow.
    pub(crate) fn poll_close_notify(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamFailure>> {
        if self.close_notify_sent {
            return self.poll_flush(cx);
        }
        self.writable()?;
        if self.write_pending.is_some() {
            return Poll::Ready(Err(StreamFailure::Tls(
                "close_notify cannot overtake a half-written record".to_owned(),
            )));
        }
        self.begin();
        // A message of the peer's (a ticket, a renegotiation) is half read: the library refuses to close until it has the rest.
        if !compat::is_init_finished(self.tls.ssl(), self.established) {
            match Pin::new(&mut self.tls).poll_do_handshake(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    let failure = StreamFailure::of_ssl(&error, self.tls.get_ref().error());
                    return Poll::Ready(Err(self.broke(failure)));
                }
                // After its close_notify the peer says no more, so the rest will not come either.
                Poll::Pending if self.tls.get_ref().hid_fin() || self.end.is_some() => {
                    return Poll::Ready(Err(self.broke(StreamFailure::Tls(CUT_SHORT.to_owned()))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        compat::write_little(self.tls.ssl());
        match Pin::new(&mut self.tls).poll_shutdown(cx) {
            Poll::Ready(Ok(())) => {
                self.close_notify_sent = true;
                if self.end.is_none() {
                    // An idle connection has no buffer for the answer. In a stop, answers come among the ends of other connections, and 17 KB between thousands of small pieces that
                    // were just freed cost glibc's allocator 15 µs; here they cost two.
                    compat::take_buffers(self.tls.ssl());
                }
                self.poll_flush(cx)
            }
            Poll::Ready(Err(error)) => {
                let failure = StreamFailure::of_io(&error, self.tls.get_ref().error());
                Poll::Ready(Err(self.write_broke(cx, failure)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether the drop does what [`poll_fin`](TlsStream::poll_fin) and the drop do. When both have said close_notify there is nothing unread that the drop would answer with a reset,
    /// and one call to the system does for two.
    pub(crate) fn fin_comes_with_drop(&self) -> bool {
        self.close_notify_sent && self.end == Some(ReadEvent::CloseNotify) && self.socket().is_the_systems()
    }

    /// Ends our direction of the TCP connection. Whatever the socket answers counts as done: there is nothing left that could be lost, and a peer that is gone already
    /// (`ENOTCONN`) is what was wanted.
    pub(crate) fn poll_fin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.fin_sent {
            return Poll::Ready(());
        }
        let gate = self.tls.get_mut();
        gate.open();
        let _ = ready!(Pin::new(gate).poll_shutdown(cx));
        self.fin_sent = true;
        Poll::Ready(())
    }

    /// Whether what comes behind the peer's close_notify is still in the socket then, for whoever goes on below.
    pub(crate) fn can_be_unwrapped(&self) -> bool {
        !self.reads_ahead
    }

    /// What it ran over, after both close_notify, and what is left there of the bytes that were read before the handshake.
    pub(crate) fn unwrap(mut self) -> (Socket, Bytes) {
        self.tls.get_mut().take_socket()
    }

    /// One attempt at a close_notify without waiting, for a teardown that will not poll again. Answers whether it is out.
    ///
    /// It never panics: in a teardown the runtime may be gone, or another panic be under way, and a second one would abort the process. Hence the `catch_unwind`.
    pub(crate) fn try_close_notify(&mut self) -> bool {
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let mut cx = Context::from_waker(Waker::noop());
            // A task that has used up its budget is told "not ready" by every socket; nobody will ask again.
            let once = tokio::task::unconstrained(std::future::poll_fn(|cx| self.poll_close_notify(cx)));
            matches!(pin!(once).poll(&mut cx), Poll::Ready(Ok(())))
        }));
        attempt.unwrap_or_else(|_| {
            self.broken = Some(StreamFailure::Tls("the socket panicked".to_owned()));
            false
        })
    }
}
