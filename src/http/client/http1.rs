//! A client's HTTP/1.1: one exchange at a time.

use std::task::{Context, Poll, Waker};

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

use super::{Asked, HttpClient, State, waker::NestedWaker};
use crate::{
    connection::{Io, Lent, ProtocolError},
    http::{
        Body, ResponseBody, driven,
        exchange::Answer,
        expect::{Gate, Verdict, expects_continue},
        incoming::{Ahead, words},
        upgrade::Asks,
    },
    lifecycle::Phase,
};

pub(super) struct Speaking {
    lent: Lent,
    sender: SendRequest<Body>,
    nested: NestedWaker,
    pub(super) connection: HyperConnection<TokioIo<Lent>, Body>,
}

pub(super) struct UnderWay {
    stage: Stage,
    pub(super) answer: Answer,
    verdict: Option<Verdict>,
    asks: Asks,
}

enum Stage {
    Awaited(BoxFuture<'static, Result<Response<Incoming>, TrySendError<Request<Body>>>>),
    /// It has come, and hyper is polled once more for the body behind it: see [`ResponseBody::look_ahead`].
    Here(Box<Response<ResponseBody>>),
}

impl Speaking {
    fn begin() -> Result<Self, String> {
        let lent = Lent::default();
        // There is nothing to wait for in it; if there were one day, this would say so.
        let handshake = Builder::new().handshake(TokioIo::new(lent.clone())).now_or_never();
        let (sender, connection) =
            handshake.ok_or("hyper's handshake waits")?.map_err(|error: hyper::Error| words(&error))?;
        Ok(Speaking { lent, sender, nested: NestedWaker::default(), connection })
    }
}

impl HttpClient {
    pub(super) fn poll_http1(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        // What the peer has said while the connection was idle, its close above all, is read before the next exchange begins. When nothing has come, hyper need not be asked.
        let mut quiet = self.idle_at_heart() && !self.asked.is_empty() && !io.is_readable(cx);
        let waker = self.enter(cx);
        loop {
            if !std::mem::take(&mut quiet) {
                if let State::Speaking(speaking) = &self.state {
                    speaking.nested.forget();
                }
                let nested = &mut Context::from_waker(&waker);
                let done = if io.phase() == Phase::Open { self.poll_hyper(io, nested) } else { Some(Ok(())) };
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
                // A body is read by somebody who holds no handle: a pool lets go of a connection that it gives no other exchange.
                io.keep(!self.idle_at_heart() || !self.asked.is_empty());
                return self.go_outside(cx);
            }
        }
    }

    /// Lets go of hyper, if it has nothing under way and nothing to write. What it knew is nothing that the next exchange needs.
    pub(super) fn rest(&mut self, io: &mut Io<'_, Self>) {
        let is_idle = self.idle && self.idle_at_heart() && self.asked.is_empty() && io.link().is_flushed();
        let state = match &self.state {
            State::Speaking(_) if is_idle => std::mem::replace(&mut self.state, State::Resting),
            _ => return,
        };
        if let State::Speaking(speaking) = state
            && !speaking.connection.into_parts().read_buf.is_empty()
        {
            return io.fail(unasked());
        }
        io.drive(false);
    }

    /// Takes hyper again, which then looks first for what the peer has said in the meantime. Whether it is there.
    pub(super) fn wake_up(&mut self, io: &mut Io<'_, Self>) -> bool {
        self.settled = false;
        io.drive(true);
        let began = self.speak_http1();
        if let Err(words) = &began {
            io.fail(ProtocolError::new(words));
        }
        began.is_ok()
    }

    pub(super) fn speak_http1(&mut self) -> Result<(), String> {
        self.state = State::Speaking(Box::new(Speaking::begin()?));
        Ok(())
    }

    /// The waker of what is polled from here on.
    fn enter(&self, cx: &Context<'_>) -> Waker {
        match &self.state {
            State::Speaking(speaking) => speaking.nested.enter(cx),
            _ => cx.waker().clone(),
        }
    }

    fn go_outside(&self, cx: &Context<'_>) {
        if let State::Speaking(speaking) = &self.state
            && speaking.nested.leave()
        {
            // Not at once: hyper, too, gives way to others after a while.
            cx.waker().wake_by_ref();
        }
    }

    /// Polls hyper once. `Some`: it is done with the connection.
    fn poll_hyper(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) -> Option<Result<(), String>> {
        let State::Speaking(speaking) = &mut self.state else { return None };
        let Speaking { lent, connection, .. } = &mut **speaking;
        let done = driven::poll_once(connection, io, lent, &self.fate, cx)?;
        Some(done.map_err(|error| words(&error)))
    }

    /// Nothing is under way, and hyper was polled since the last that was.
    fn idle_at_heart(&self) -> bool {
        self.settled && self.under_way.is_none()
    }

    /// Gives the answer to the exchange under way, if it is there. Whether hyper is to be polled again first: for a small body, or to see that whoever asked has given up.
    pub(super) fn answer(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) -> bool {
        let Some(under_way) = &mut self.under_way else { return false };
        let polled = match &mut under_way.stage {
            // hyper alone moves this, and was polled just now.
            Stage::Awaited(response) => response.as_mut().poll(&mut Context::from_waker(Waker::noop())),
            Stage::Here(response) => {
                if look_ahead(&self.state, response) == Ahead::Part {
                    cx.waker().wake_by_ref();
                }
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
            Ok(response) => Box::new(response.map(|incoming| ResponseBody::new(incoming, self.fate.clone(), verdict))),
            Err(error) => {
                answer.send(Err(error));
                return false;
            }
        };
        if look_ahead(&self.state, &mut response) == Ahead::Enough {
            answer.send(Ok(response));
            return false;
        }
        self.under_way = Some(UnderWay { stage: Stage::Here(response), answer, verdict: None, asks });
        true
    }

    /// Gives out a response that is here.
    pub(super) fn give_response(&mut self) {
        if let Some(UnderWay { stage: Stage::Here(response), answer, .. }) =
            self.under_way.take_if(|under_way| matches!(under_way.stage, Stage::Here(_)))
        {
            answer.send(Ok(response));
        }
    }

    /// Begins the next exchange, if hyper can take it. Whether it did.
    fn begin_next(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) -> bool {
        let State::Speaking(speaking) = &mut self.state else { return false };
        let nobody = &mut Context::from_waker(Waker::noop());
        if self.under_way.is_some() || !matches!(speaking.sender.poll_ready(nobody), Poll::Ready(Ok(()))) {
            self.asked.retain(|asked| !asked.answer.poll_given_up(cx));
            return false;
        }
        while self.asked.front().is_some_and(|asked| asked.answer.is_given_up()) {
            self.asked.pop_front();
        }
        let Some(Asked { mut request, answer, .. }) = self.asked.pop_front() else {
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
            hyper::ext::on_informational(&mut *request, move |response| {
                if response.status() == http::StatusCode::CONTINUE {
                    wanted.wanted();
                }
            });
        }
        let asks = Asks::of(request.method(), request.version(), request.headers());
        let response = Box::pin(speaking.sender.try_send_request(*request));
        self.under_way = Some(UnderWay { stage: Stage::Awaited(response), answer, verdict, asks });
        true
    }

    fn fallen_idle(&mut self, io: &mut Io<'_, Self>) {
        if self.draining.is_some() || self.retired || io.is_released() {
            return io.close();
        }
        if !std::mem::replace(&mut self.idle, true)
            && let Some(watch) = &self.watch
        {
            watch.idle();
        }
    }
}

/// What the peer says while nothing is under way.
pub(super) fn unasked() -> ProtocolError {
    ProtocolError::new("a message came that nobody had asked for")
}

/// Takes a small body that is here. That wakes hyper, for which there is more to do only if [`Ahead`] says so.
fn look_ahead(state: &State, response: &mut Response<ResponseBody>) -> Ahead {
    let (body, nobody) = (response.body_mut(), &mut Context::from_waker(Waker::noop()));
    match state {
        State::Speaking(speaking) => speaking.nested.mute(|| body.look_ahead(nobody)),
        _ => body.look_ahead(nobody),
    }
}
