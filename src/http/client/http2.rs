//! A client's HTTP/2: hyper's connection, polled in the actor's own poll with everything that it would have spawned.
//!
//! ```text
//!  Exchange --> asked --+-- SendRequest --> hyper's dispatcher --> h2's streams --> Lent
//!                       |                                            ^
//!   as many as the peer allows                                       |
//!                       +--> UnderWay: response or given up    hyper's connection: the truth about the end
//! ```
//!
//! **The end.** When nothing new is to begin, the sender is dropped; when the last stream has ended hyper says GOAWAY and its connection is done, and only then the actor closes by its own recipe. A peer's GOAWAY ends the
//! dispatcher alone: streams that the peer has taken go on.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http2::{Connection as HyperConnection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;

use super::{Asked, HttpClient, State};
use crate::{
    connection::{Io, Lent, ProtocolError},
    fate::Reason,
    http::{
        Body, ExchangeError, Http2Options, NotProcessed, ResponseBody,
        exchange::Answer,
        expect::{Gate, Verdict, expects_continue},
        http2::{Blame, OpenStreams, Spawner, StreamGuard, Tasks, address},
        incoming::{Fate, words},
    },
    lifecycle::Phase,
};

pub(super) struct Http2 {
    /// `None`: nothing new begins.
    sender: Option<SendRequest<Body>>,
    /// `None`: it was dropped, and what is under way says so.
    hyper: Option<Hyper>,
    under_way: FuturesUnordered<UnderWay>,
    streams: Arc<OpenStreams>,
    /// How many exchanges there may be at a time, of our own.
    most: usize,
    /// What the pool was told last.
    told: usize,
    /// What ends the connection, and is to be told of it.
    trouble: Option<Trouble>,
    begun: bool,
    /// The peer takes no more.
    gone: bool,
}

struct Hyper {
    lent: Lent,
    /// Takes from the sender. `None`: it has ended.
    dispatcher: Option<HyperConnection<TokioIo<Lent>, Body, Spawner>>,
    /// Polled with the actor's own waker, by which the link wakes those whose bytes it has written.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    tasks: Tasks,
}

enum Trouble {
    Protocol(String),
    TimedOut,
}

impl Http2 {
    /// `presumed`: how many exchanges the peer allows at a time, before it has said so.
    pub(super) fn new(options: &Http2Options, presumed: usize) -> Self {
        let most = options.streams();
        Http2 {
            sender: None,
            hyper: None,
            under_way: FuturesUnordered::new(),
            streams: Arc::default(),
            most,
            told: presumed.min(most),
            trouble: None,
            begun: false,
            gone: false,
        }
    }

    /// The preface goes into the stream at once, so the stream has to be lent for it.
    fn begin(
        &mut self,
        io: &mut Io<'_, HttpClient>,
        cx: &mut Context<'_>,
        options: &Http2Options,
    ) -> Result<(), String> {
        let lent = Lent::default();
        let (spawner, mut tasks) = Tasks::new();
        let builder = options.of_client(spawner, self.told);
        let ours = TokioIo::new(lent.clone());
        // It waits for nothing: what a socket does not take at once the link takes.
        let Some(handshake) = io.lend(&lent, cx, |_| builder.handshake(ours).now_or_never()) else { return Ok(()) };
        let (sender, dispatcher) =
            handshake.ok_or("hyper's handshake waits")?.map_err(|error: hyper::Error| words(&error))?;
        let connection = tasks.take_first().ok_or("hyper has not spawned its connection")?;
        self.sender = Some(sender);
        self.hyper = Some(Hyper { lent, dispatcher: Some(dispatcher), connection: Some(connection), tasks });
        Ok(())
    }

    /// How many exchanges there may be at a time, as far as is known by now.
    fn most(&self) -> usize {
        let dispatcher = self.hyper.as_ref().and_then(|hyper| hyper.dispatcher.as_ref());
        dispatcher.map_or(0, HyperConnection::current_max_send_streams).min(self.most)
    }

    fn has_room(&self) -> bool {
        self.sender.is_some() && self.streams.count() < self.most()
    }

    fn send(&mut self, asked: Asked, io: &Io<'_, HttpClient>) {
        let Asked { mut request, answer, slot } = asked;
        let Some(sender) = &mut self.sender else { return };
        address(&mut *request, io.is_secure(), &io.peer().name);
        let verdict = expects_continue(request.headers()).then(Verdict::default);
        if let Some(verdict) = &verdict {
            request.body_mut().hold_back(Gate::new(verdict));
        }
        let stream = self.streams.open(slot);
        request.body_mut().part_of(Some(stream.clone()));
        let response = sender.try_send_request(*request).boxed();
        self.under_way.push(UnderWay { response, asker: Some(Asker { answer, stream, verdict }) });
    }

    /// Polls all of hyper once. Whether its connection is done.
    fn poll_hyper(&mut self, io: &mut Io<'_, HttpClient>, cx: &mut Context<'_>) -> bool {
        self.poll_dispatcher(cx);
        let Some(Hyper { lent, connection, tasks, .. }) = &mut self.hyper else { return true };
        tasks.poll(cx);
        let polled = match connection {
            Some(connection) => io.lend(lent, cx, |cx| connection.as_mut().poll(cx)),
            None => None,
        };
        let done = !matches!(polled, Some(Poll::Pending));
        if done {
            // Only when it is dropped the others see that it is done, and say why.
            *connection = None;
        }
        // What has come is for these.
        tasks.poll(cx);
        self.poll_dispatcher(cx);
        done
    }

    fn poll_dispatcher(&mut self, cx: &mut Context<'_>) {
        let Some(Hyper { dispatcher, .. }) = &mut self.hyper else { return };
        let Some(Poll::Ready(result)) = dispatcher.as_mut().map(|dispatcher| Pin::new(dispatcher).poll(cx)) else {
            return;
        };
        // Dropped, it gives back what it has not begun; and it must be, for h2 to see that nothing new can come.
        *dispatcher = None;
        self.gone = self.sender.take().is_some();
        match result.as_ref().map_err(Blame::of) {
            Err(Blame::GoAway(Some(words)) | Blame::NotHttp(words)) => self.trouble = Some(Trouble::Protocol(words)),
            Err(Blame::TimedOut) => self.trouble = Some(Trouble::TimedOut),
            _ => {}
        }
    }

    /// Answers those exchanges whose end is known.
    fn answer(&mut self, cx: &mut Context<'_>, fate: &Fate) {
        while let Poll::Ready(Some(ended)) = self.under_way.poll_next_unpin(cx) {
            // `None`: whoever asked is gone, and dropped, the future has told hyper, which resets the stream.
            let Some((result, Asker { answer, stream, verdict })) = ended else { continue };
            answer.send(match result {
                Ok(response) => {
                    let body = |incoming| ResponseBody::new(incoming, fate.clone(), verdict).part_of(stream);
                    Ok(Box::new(response.map(body)))
                }
                Err(error) => Err(self.failed(error, &stream, fate)),
            });
        }
    }

    /// Why an exchange failed.
    fn failed(&self, mut error: TrySendError<Request<Body>>, stream: &StreamGuard, fate: &Fate) -> ExchangeError {
        if let Some(request) = error.take_message() {
            return self.not_begun(Box::new(request), fate);
        }
        let reason = fate.get().cloned();
        match Blame::of(error.error()) {
            Blame::GoAway(_) => ExchangeError::NotProcessed { request: None, why: NotProcessed::GoAway },
            Blame::Refused => ExchangeError::NotProcessed { request: None, why: NotProcessed::Refused },
            Blame::Reset(name) => ExchangeError::Reset(name),
            Blame::NotHttp(words) => ExchangeError::NotHttp(words),
            Blame::TimedOut => ExchangeError::Lost { reason: reason.or(Some(Reason::TimedOut(Phase::Open))) },
            Blame::Ended => ExchangeError::Lost { reason },
            Blame::Ours(words) => match stream.failure_of_body() {
                Some(words) => ExchangeError::Body(words),
                None => ExchangeError::Request(words),
            },
        }
    }

    /// A request that was not given to the peer: it had said that it takes none, or the connection has ended.
    fn not_begun(&self, mut request: Box<Request<Body>>, fate: &Fate) -> ExchangeError {
        request.body_mut().part_of(None);
        match fate.get().cloned() {
            None if self.gone => ExchangeError::NotProcessed { request: Some(request), why: NotProcessed::GoAway },
            reason => ExchangeError::NotSent { request, reason },
        }
    }

    /// The peer takes no more, or nobody may ask any more.
    fn give_back(&self, asked: &mut VecDeque<Asked>, fate: &Fate) {
        for Asked { request, answer, .. } in asked.drain(..) {
            answer.send(Err(self.not_begun(request, fate)));
        }
    }

    /// hyper has the connection no longer, and what it has not said by now it says when it is dropped.
    fn leave(&mut self, cx: &mut Context<'_>, fate: &Fate) {
        self.sender = None;
        self.hyper = None;
        self.answer(cx, fate);
        self.lose(fate.get());
    }

    /// What is under way has no answer.
    pub(super) fn lose(&mut self, reason: Option<&Reason>) {
        self.hyper = None;
        for exchange in self.under_way.iter_mut() {
            if let Some(Asker { answer, .. }) = exchange.asker.take() {
                answer.send(Err(ExchangeError::Lost { reason: reason.cloned() }));
            }
        }
    }

    /// What the pool is to be told before the peer has said anything.
    pub(super) fn presumed(&self) -> usize {
        self.told
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }
}

/// An exchange that hyper has.
struct UnderWay {
    response: BoxFuture<'static, Sent>,
    asker: Option<Asker>,
}

type Sent = Result<Response<Incoming>, TrySendError<Request<Body>>>;

struct Asker {
    answer: Answer,
    stream: Arc<StreamGuard>,
    verdict: Option<Verdict>,
}

impl Future for UnderWay {
    /// `None`: it was given up.
    type Output = Option<(Sent, Asker)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.response.as_mut().poll(cx) {
            Poll::Ready(sent) => Poll::Ready(self.asker.take().map(|asker| (sent, asker))),
            Poll::Pending if self.asker.as_ref().is_none_or(|asker| asker.answer.poll_given_up(cx)) => {
                self.asker = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl HttpClient {
    pub(super) fn poll_http2(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        let State::Http2(http2) = &mut self.state else { return };
        // What was asked for is finished whoever holds a handle; when the last is gone, nothing new can come.
        io.keep(true);
        self.retired |= io.is_released();
        if !std::mem::replace(&mut http2.begun, true)
            && let Err(words) = http2.begin(io, cx, &self.http2)
        {
            http2.trouble = Some(Trouble::Protocol(words));
        }
        self.asked.retain(|asked| !asked.answer.poll_given_up(cx));
        loop {
            while http2.has_room()
                && let Some(asked) = self.asked.pop_front()
            {
                http2.send(asked, io);
            }
            if (self.retired || self.draining.is_some()) && self.asked.is_empty() {
                http2.sender = None;
            }
            let done = io.phase() != Phase::Open || http2.poll_hyper(io, cx);
            if let Some(cause) = io.link().cause() {
                let _ = self.fate.set(cause.clone());
            }
            http2.answer(cx, &self.fate);
            if done {
                return self.leave_http2(io, cx);
            }
            match &self.watch {
                Some(watch) if http2.gone && !std::mem::replace(&mut self.retired, true) => watch.leaving(),
                Some(watch) if http2.sender.is_some() && http2.told != http2.most() => {
                    http2.told = http2.most();
                    watch.bears(http2.told);
                }
                _ => {}
            }
            if http2.sender.is_none() {
                http2.give_back(&mut self.asked, &self.fate);
            }
            if self.asked.is_empty() || !http2.has_room() {
                break;
            }
        }
        if !self.asked.is_empty() {
            http2.streams.wake_when_one_ends(cx);
        }
    }

    /// hyper is done with the connection, or somebody else has ended it.
    fn leave_http2(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        if let Some(watch) = &self.watch {
            watch.leaving();
        }
        let State::Http2(mut http2) = std::mem::replace(&mut self.state, State::Done) else { return };
        match http2.trouble.take() {
            Some(Trouble::Protocol(words)) => io.fail(ProtocolError::new(words)),
            Some(Trouble::TimedOut) => io.close_for(Reason::TimedOut(Phase::Open)),
            None => io.close(),
        }
        if let Some(cause) = io.link().cause() {
            let _ = self.fate.set(cause.clone());
        }
        http2.leave(cx, &self.fate);
        http2.give_back(&mut self.asked, &self.fate);
    }
}
