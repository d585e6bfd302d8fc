//! The protocol of an HTTP/1.1 client: hyper's connection, polled in the actor's own poll.

mod ending;
mod upgraded;

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use futures_util::{FutureExt, future::BoxFuture};
use http::{
    Request, Response,
    header::{HOST, HeaderValue},
};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Builder, Connection as HyperConnection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{
    Body, ExchangeError, ResponseBody,
    exchange::Answer,
    expect::{Gate, Verdict, expects_continue},
    incoming::{Fate, words},
    upgrade::{Asks, Promise},
    watch::Watch,
};
use crate::{
    connection::{Carrier, EndOfStream, Io, Lent, Protocol, ProtocolError},
    fate::Lost,
    lifecycle::Phase,
};

/// Speaks HTTP/1.1 as a client: see [`Exchange`](super::Exchange).
///
/// In a drain the exchanges that were asked for are finished, bodies included, new ones are refused, and the connection closes.
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
    under_way: Option<UnderWay>,
    /// Bytes of this exchange may have been written.
    fate: Fate,
    /// What is promised to the exchange whose response has granted an upgrade, until hyper is done with the connection.
    promise: Option<Promise>,
    /// The end of the drain, once it has begun.
    draining: Option<Instant>,
    /// Whether the last word to whoever watches was that it is idle.
    idle: bool,
    /// hyper was polled since the last exchange and waits for the next.
    settled: bool,
    watch: Option<Arc<dyn Watch>>,
}

enum State {
    /// Not open yet.
    New,
    Speaking(Box<Speaking>),
    /// It speaks HTTP no longer: a stream has its bytes.
    Upgraded(Carrier),
    /// Open no longer.
    Done,
}

struct Speaking {
    lent: Lent,
    sender: SendRequest<Body>,
    connection: HyperConnection<TokioIo<Lent>, Body>,
}

struct Asked {
    request: Request<Body>,
    answer: Answer,
}

struct UnderWay {
    stage: Stage,
    answer: Answer,
    verdict: Option<Verdict>,
    asks: Asks,
}

enum Stage {
    Awaited(BoxFuture<'static, Result<Response<Incoming>, TrySendError<Request<Body>>>>),
    /// It has come, and hyper is polled once more for the body behind it: see [`ResponseBody::look_ahead`].
    Here(Box<Response<ResponseBody>>),
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
            draining: None,
            idle: false,
            settled: false,
            watch: None,
        }
    }

    pub(super) fn watched_by(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = Some(watch);
        self
    }

    pub(super) fn ask(&mut self, request: Request<Body>, answer: Answer) {
        self.idle = false;
        self.asked.push_back(Asked { request, answer });
    }

    /// If it is idle, it will say so once more.
    pub(super) fn say_again(&mut self) {
        self.idle = false;
    }

    fn speak(&mut self) -> Result<(), String> {
        let lent = Lent::default();
        // There is nothing to wait for in it; if there were one day, this would say so.
        let handshake = Builder::new().handshake(TokioIo::new(lent.clone())).now_or_never();
        let (sender, connection) =
            handshake.ok_or("hyper's handshake waits")?.map_err(|error: hyper::Error| words(&error))?;
        self.state = State::Speaking(Box::new(Speaking { lent, sender, connection }));
        Ok(())
    }

    /// Polls hyper once. `Some`: it is done with the connection.
    fn poll_hyper(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) -> Option<Result<(), String>> {
        let State::Speaking(speaking) = &mut self.state else { return None };
        let Speaking { lent, connection, .. } = &mut **speaking;
        let polled = io.lend(lent, cx, |cx| Pin::new(connection).poll(cx));
        if let Some(cause) = io.link().cause() {
            let _ = self.fate.set(cause.clone());
        }
        match polled {
            None => Some(Ok(())),
            Some(Poll::Pending) => None,
            Some(Poll::Ready(result)) => Some(result.map_err(|error| words(&error))),
        }
    }

    /// Nothing is under way, and hyper was polled since the last that was.
    fn idle_at_heart(&self) -> bool {
        self.settled && self.under_way.is_none()
    }

    /// Gives the answer to the exchange under way, if it is there. Whether hyper is to be polled again first: for a small body, or to see that whoever asked has given up.
    fn answer(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) -> bool {
        let Some(under_way) = &mut self.under_way else { return false };
        let polled = match &mut under_way.stage {
            Stage::Awaited(response) => response.as_mut().poll(cx),
            Stage::Here(response) => {
                response.body_mut().look_ahead(cx);
                self.give_response();
                return false;
            }
        };
        let Poll::Ready(result) = polled else {
            // Whoever asked is gone: dropped, the future tells hyper, which then gives up the connection, too.
            let given_up = under_way.answer.poll_given_up(cx);
            if given_up {
                self.under_way = None;
            }
            return given_up;
        };
        let Some(UnderWay { answer, verdict, asks, .. }) = self.under_way.take() else { return false };
        let result = match result {
            Ok(response) => self.look_for_upgrade(io, response, asks),
            Err(error) => Err(self.failed(io, error)),
        };
        let mut response = match result {
            Ok(response) => response.map(|incoming| ResponseBody::new(incoming, self.fate.clone(), verdict)),
            Err(error) => {
                answer.send(Err(error));
                return false;
            }
        };
        if !response.body_mut().look_ahead(cx) {
            answer.send(Ok(response));
            return false;
        }
        self.under_way = Some(UnderWay { stage: Stage::Here(Box::new(response)), answer, verdict: None, asks });
        true
    }

    /// Gives out a response that is here.
    fn give_response(&mut self) {
        if let Some(UnderWay { stage: Stage::Here(response), answer, .. }) =
            self.under_way.take_if(|under_way| matches!(under_way.stage, Stage::Here(_)))
        {
            answer.send(Ok(*response));
        }
    }

    /// Begins the next exchange, if hyper can take it. Whether it did.
    fn begin_next(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) -> bool {
        self.asked.retain(|asked| !asked.answer.poll_given_up(cx));
        let State::Speaking(speaking) = &mut self.state else { return false };
        if self.under_way.is_some() || !matches!(speaking.sender.poll_ready(cx), Poll::Ready(Ok(()))) {
            return false;
        }
        let Some(Asked { mut request, answer }) = self.asked.pop_front() else {
            self.settled = true;
            self.fallen_idle(io);
            return false;
        };
        self.settled = false;
        if !request.headers().contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(&io.peer().name)
        {
            request.headers_mut().insert(HOST, host);
        }
        let verdict = expects_continue(request.headers()).then(Verdict::default);
        if let Some(verdict) = &verdict {
            request.body_mut().hold_back(Gate::new(verdict));
            let wanted = verdict.clone();
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == http::StatusCode::CONTINUE {
                    wanted.wanted();
                }
            });
        }
        let asks = Asks::of(request.method(), request.version(), request.headers());
        let response = Box::pin(speaking.sender.try_send_request(request));
        self.under_way = Some(UnderWay { stage: Stage::Awaited(response), answer, verdict, asks });
        true
    }

    fn fallen_idle(&mut self, io: &mut Io<'_, Self>) {
        if self.draining.is_some() {
            return io.close();
        }
        if !std::mem::replace(&mut self.idle, true)
            && let Some(watch) = &self.watch
        {
            watch.idle();
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
        if let Err(words) = self.speak() {
            io.fail(ProtocolError::new(words));
        }
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        match &mut self.state {
            State::Upgraded(carrier) => carrier.data(io, data),
            // Only what comes after a close, which is nobody's.
            _ => data.clear(),
        }
        Ok(())
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        match &mut self.state {
            State::Upgraded(carrier) => carrier.end_of_stream(end),
            _ => io.close(),
        }
    }

    fn drain(&mut self, io: &mut Io<'_, Self>, until: Instant) {
        if let State::Upgraded(carrier) = &mut self.state {
            return carrier.drain(io, until);
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
        match &mut self.state {
            State::Done => return self.give_back(),
            State::Upgraded(carrier) => {
                carrier.poll(io, cx);
                return self.give_back();
            }
            State::New | State::Speaking(_) => {}
        }
        // What the peer has said while the connection was idle, its close above all, is read before the next exchange begins. When nothing has come, hyper need not be asked.
        let mut quiet = self.idle_at_heart() && !self.asked.is_empty() && !io.is_readable(cx);
        loop {
            if !std::mem::take(&mut quiet) {
                let done = if io.phase() == Phase::Open { self.poll_hyper(io, cx) } else { Some(Ok(())) };
                let again = self.answer(io, cx);
                if let Some(result) = done {
                    let result = match (result, self.promise.take()) {
                        (Ok(()), Some(promise)) if io.phase() == Phase::Open => {
                            return self.become_stream(io, cx, promise);
                        }
                        (result, _) => result,
                    };
                    match result {
                        Err(words) if self.fate.get().is_none() => io.fail(ProtocolError::new(words)),
                        _ => io.close(),
                    }
                    return self.leave(io, cx);
                }
                if again {
                    continue;
                }
            }
            if !self.begin_next(io, cx) {
                return;
            }
        }
    }

    fn lost(&mut self, lost: &Lost) {
        let _ = self.fate.set(lost.reason.clone());
        if let State::Upgraded(mut carrier) = std::mem::replace(&mut self.state, State::Done) {
            carrier.lost(lost);
        }
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
            .field("under_way", &self.under_way.is_some())
            .field("waiting", &self.asked.len())
            .finish_non_exhaustive()
    }
}
