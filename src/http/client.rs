//! The protocol of an HTTP client: hyper's connection, polled in the actor's own poll.

mod ending;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod upgraded;
mod waker;

use std::{collections::VecDeque, fmt, sync::Arc, task::Context};

use bytes::BytesMut;
use http::Request;
use tokio::time::Instant;

#[cfg(feature = "http2")]
use super::Http2Options;
use super::{
    Body, ExchangeError,
    exchange::Answer,
    incoming::Fate,
    onward::Onward,
    upgrade::Promise,
    versions::Versions,
    watch::{Slot, Watch},
};
use crate::{
    connection::{EndOfStream, Io, Protocol, ProtocolError},
    fate::Lost,
    lifecycle::Phase,
};

/// Speaks HTTP as a client: see [`Exchange`](super::Exchange). HTTP/2 where ALPN has chosen it, else HTTP/1.1; or what [`versions`](HttpClient::versions) says.
///
/// In a drain the exchanges that were asked for are finished, bodies included, new ones are refused, and the connection closes; on HTTP/2 with a GOAWAY before it.
///
/// A response that grants what its request has asked for, 101 to an `Upgrade` or 2xx to a `CONNECT`, is the last on its connection, which then is the stream of [`upgrade`](super::upgrade()); what waited behind it is not
/// sent. A 101 that nobody has asked for ends the connection.
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::{Connect, http::{Body, Exchange, HttpClient}};
///
/// let connection = supervisor.send(Connect::to("localhost:443", HttpClient::new())).await??;
/// let request = http::Request::get("/health").header("host", "localhost").body(Body::empty())?;
/// println!("{}", connection.send(Exchange(request)).await??.status());
/// # Ok(())
/// # }
/// ```
pub struct HttpClient {
    state: State,
    asked: VecDeque<Asked>,
    under_way: Option<http1::UnderWay>,
    /// Bytes of this exchange may have been written.
    fate: Fate,
    /// What is promised to the exchange whose response has granted an upgrade, until hyper is done with the connection.
    promise: Option<Promise>,
    onward: Onward,
    /// The end of the drain, once it has begun.
    draining: Option<Instant>,
    /// No further exchange, for another reason than a drain.
    retired: bool,
    /// Whether the last word to whoever watches was that it is idle.
    idle: bool,
    /// hyper was polled since the last exchange and waits for the next.
    settled: bool,
    watch: Option<Arc<dyn Watch>>,
    versions: Versions,
    #[cfg(feature = "http2")]
    http2: Http2Options,
    /// How many exchanges the peer is taken to allow, before it has said so.
    #[cfg(feature = "http2")]
    presumed: usize,
}

enum State {
    /// Not open yet.
    New,
    Speaking(Box<http1::Speaking>),
    /// Idle for a while, on HTTP/1.1: without hyper, whose buffers and channels are some 27 KB. The pump reads.
    Resting,
    #[cfg(feature = "http2")]
    Http2(Box<http2::Http2>),
    /// It speaks HTTP no longer: it is open no longer, or a stream has its bytes.
    Done,
}

struct Asked {
    request: Box<Request<Body>>,
    answer: Answer,
    /// On HTTP/2: the pool's room for it.
    #[cfg_attr(not(feature = "http2"), allow(dead_code))]
    slot: Option<Slot>,
}

impl Default for HttpClient {
    fn default() -> Self {
        HttpClient::new()
    }
}

impl HttpClient {
    /// A client.
    pub fn new() -> Self {
        HttpClient {
            state: State::New,
            asked: VecDeque::new(),
            under_way: None,
            fate: Fate::default(),
            promise: None,
            onward: Onward::default(),
            draining: None,
            retired: false,
            idle: false,
            settled: false,
            watch: None,
            versions: Versions::default(),
            #[cfg(feature = "http2")]
            http2: Http2Options::client(),
            #[cfg(feature = "http2")]
            presumed: super::http2::PRESUMED,
        }
    }

    /// Which versions of HTTP it speaks. What ALPN offers is the [`Connect`](crate::Connect)'s to say: [`Connect::alpn`](crate::Connect::alpn).
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// How HTTP/2 is spoken.
    #[cfg(feature = "http2")]
    pub fn http2(mut self, options: Http2Options) -> Self {
        self.http2 = options;
        self
    }

    #[cfg(feature = "http2")]
    pub(super) fn presumes(mut self, exchanges: usize) -> Self {
        self.presumed = exchanges;
        self
    }

    pub(super) fn watched_by(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = Some(watch);
        self
    }

    pub(super) fn ask(&mut self, request: Box<Request<Body>>, answer: Answer, slot: Option<Slot>) {
        self.idle = false;
        let slot = match &self.state {
            #[cfg(feature = "http2")]
            State::Http2(_) => slot,
            // There is one exchange at a time, and it is told when there is none.
            _ => {
                if let Some(slot) = slot {
                    slot.settle();
                }
                None
            }
        };
        self.asked.push_back(Asked { request, answer, slot });
    }

    /// No further exchange: it closes when those that it has are done.
    pub(super) fn retire(&mut self, io: &mut Io<'_, Self>) {
        self.retired = true;
        if self.idle && self.asked.is_empty() {
            io.close();
        }
    }

    fn speak(&mut self, io: &mut Io<'_, Self>) -> Result<(), String> {
        #[cfg(feature = "http2")]
        if self.versions.is_http2(io.alpn().as_deref()) {
            self.state = State::Http2(Box::new(http2::Http2::new(&self.http2, self.presumed)));
            return Ok(());
        }
        let _ = io;
        self.speak_http1()
    }

    /// How many exchanges are under way, as far as they are not answered.
    fn under_way(&self) -> usize {
        match &self.state {
            #[cfg(feature = "http2")]
            State::Http2(http2) => http2.under_way(),
            _ => usize::from(self.under_way.is_some()),
        }
    }
}

impl Protocol for HttpClient {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        io.drive(true);
        if let Some(watch) = &self.watch {
            let link = io.link();
            watch.opened(link.entry(), &link.milestones);
        }
        if let Err(words) = self.speak(io) {
            io.fail(ProtocolError::new(words));
        }
        #[cfg(feature = "http2")]
        if let (State::Http2(http2), Some(watch)) = (&mut self.state, &self.watch) {
            watch.bears(http2.presumed());
        }
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        if matches!(self.state, State::Resting) && io.phase() == Phase::Open {
            return Err(http1::unasked());
        }
        self.onward.data(io, data);
        Ok(())
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        self.onward.end_of_stream(io, end);
    }

    fn drain(&mut self, io: &mut Io<'_, Self>, until: Instant) {
        if self.onward.drain(io, until) {
            return;
        }
        self.draining = Some(until);
        if let Some(watch) = &self.watch {
            watch.leaving();
        }
        if self.idle && self.asked.is_empty() {
            io.close();
        }
    }

    fn poll(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        self.onward.poll(io, cx);
        match &mut self.state {
            State::Done => return self.give_back(),
            #[cfg(feature = "http2")]
            State::Http2(_) => return self.poll_http2(io, cx),
            State::Resting if io.phase() == Phase::Open => {
                if self.asked.is_empty() || !self.wake_up(io) {
                    return;
                }
            }
            State::New | State::Speaking(_) | State::Resting => {}
        }
        self.poll_http1(io, cx);
    }

    fn idle(&mut self, io: &mut Io<'_, Self>) {
        self.rest(io);
    }

    fn lost(&mut self, lost: &Lost) {
        let _ = self.fate.set(lost.reason.clone());
        #[cfg(feature = "http2")]
        if let State::Http2(http2) = &mut self.state {
            http2.lose(Some(&lost.reason));
        }
        self.state = State::Done;
        self.onward.lost(lost);
        self.promise = None;
        self.give_back();
        self.give_response();
        if let Some(under_way) = self.under_way.take() {
            under_way.answer.send(Err(ExchangeError::Lost { reason: Some(lost.reason.clone()) }));
        }
        if let Some(watch) = &self.watch {
            watch.lost(lost);
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("idle", &self.idle)
            .field("under_way", &self.under_way())
            .field("waiting", &self.asked.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "client/rest_tests.rs"]
mod rest_tests;
