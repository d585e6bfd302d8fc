//! The cast: owners that are quick, slow, forgetful or mortal, and a protocol that does what it pleases.

use std::time::Duration;

use actix::{
    Actor, AsyncContext, Context, Handler, Message,
    dev::{MessageResponse, OneshotSender},
};
use bytes::BytesMut;
use exeunt::{
    Close, Connected, Data, Draining, EndOfStream, Eof, Events, Handle, Io, Lost, Protocol, ProtocolError, Reason,
    sim::at,
};
use tokio::time::{Instant, sleep};

use crate::{
    plan::{Callback, ChaosPlan, OwnerPlan},
    script::{By, Fate, Script, What, who},
};

/// What every planned panic says, so that the others are heard.
pub const PLANNED: &str = "the storm planned it";

/// Two who echo each other would go on for ever, in no time.
pub const ECHOES: usize = 200;

pub struct Recorder {
    pub me: usize,
    pub plan: OwnerPlan,
    pub script: Script,
    pub kept: Vec<Handle<Events>>,
    pub hushes_truncations: bool,
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some((after, panics)) = self.plan.dies {
            context.run_later(after, move |_, context| {
                assert!(!panics, "{PLANNED}");
                actix::ActorContext::terminate(context);
            });
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let now = self.script.now();
        let inner = &mut *self.script.look();
        if !inner.over {
            inner.owners_gone[self.me] = Some(now);
        }
    }
}

/// An answer now, after a while, or never.
pub enum Done {
    Now,
    Later(Duration),
    Dropped,
}

impl<A: Actor, M: Message<Result = ()>> MessageResponse<A, M> for Done {
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<()>>) {
        let Some(sender) = sender else { return };
        match self {
            Done::Now => drop(sender.send(())),
            Done::Later(after) => {
                actix::spawn(async move {
                    sleep(after).await;
                    let _ = sender.send(());
                });
            }
            Done::Dropped => drop(sender),
        }
    }
}

impl Recorder {
    fn takes(&self) -> Done {
        match self.plan.slow {
            None if self.plan.forgets => Done::Dropped,
            None => Done::Now,
            Some((least, more)) => Done::Later(Duration::from_millis(least + at(more, self.script.now()) % more)),
        }
    }
}

impl Handler<Connected> for Recorder {
    type Result = ();
    fn handle(&mut self, message: Connected, _: &mut Self::Context) {
        let who = who(&message.peer.name);
        self.script.meet(who, message.id);
        self.script.tell(who, By::Owner(self.me), What::Connected);
        if self.plan.keeps_handles {
            self.kept.push(message.connection);
        }
    }
}

impl Handler<Data> for Recorder {
    type Result = Done;
    fn handle(&mut self, message: Data, _: &mut Self::Context) -> Done {
        self.script.received(self.script.who_is(message.id), By::Owner(self.me), &message.bytes);
        self.takes()
    }
}

impl Handler<Eof> for Recorder {
    type Result = Done;
    fn handle(&mut self, message: Eof, _: &mut Self::Context) -> Done {
        self.script.tell(self.script.who_is(message.id), By::Owner(self.me), What::Eof { clean: message.clean });
        self.takes()
    }
}

impl Handler<Draining> for Recorder {
    type Result = ();
    fn handle(&mut self, message: Draining, _: &mut Self::Context) {
        self.script.tell(self.script.who_is(message.id), By::Owner(self.me), What::Draining);
        if self.plan.heeds_drain {
            self.kept.iter().filter(|kept| kept.id() == message.id).for_each(|kept| kept.do_send(Close::new()));
        }
    }
}

impl Handler<Lost> for Recorder {
    type Result = ();
    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        self.kept.retain(|kept| kept.id() != lost.id);
        if self.hushes_truncations && lost.reason == Reason::Truncated {
            return;
        }
        self.script.tell(who(&lost.peer.name), By::Owner(self.me), What::Lost(Box::new(lost)));
    }
}

pub struct Chaos {
    who: usize,
    plan: ChaosPlan,
    script: Script,
    calls: Vec<(Callback, u32)>,
    next_tick: Option<Instant>,
}

impl Chaos {
    pub fn new(who: usize, plan: ChaosPlan, script: Script) -> Self {
        let next_tick = plan.ticks.map(|ticks| Instant::now() + ticks);
        Chaos { who, plan, script, calls: Vec::new(), next_tick }
    }

    fn tell(&self, what: What) {
        self.script.tell(self.who, By::Protocol, what);
    }

    /// Counts the call, and goes off when it is the one.
    fn called(&mut self, callback: Callback) -> u32 {
        let n = self.calls.iter().filter(|(called, _)| *called == callback).count() as u32 + 1;
        self.calls.push((callback, n));
        assert!(self.plan.bomb != Some((callback, n)), "{PLANNED}");
        n
    }

    fn write(&mut self, io: &mut Io<'_, Self>, len: usize) {
        let (n, bytes) = self.script.bytes_for(self.who, len);
        let fate = if io.write_bytes(bytes) { Fate::Accepted } else { Fate::Refused };
        self.script.sent(self.who, n, fate);
    }
}

impl Protocol for Chaos {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        self.tell(What::Connected);
        self.script.meet(self.who, io.id());
        self.called(Callback::Connected);
        if self.plan.ticks.is_some() {
            self.write(io, 100);
        }
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        let take = if self.plan.hoards && data.len() < 500 { data.len() / 2 } else { data.len() };
        let bytes = data.split_to(take).freeze();
        if !bytes.is_empty() {
            self.script.received(self.who, By::Protocol, &bytes);
        }
        if self.plan.echoes && self.calls.len() < ECHOES {
            let accepted = io.write(&bytes);
            let fate = if accepted { Fate::Accepted } else { Fate::Refused };
            self.script.look().parts[self.who].sent.push((bytes, fate));
        }
        let n = self.called(Callback::Data);
        if self.plan.errs == Some(n) { Err(ProtocolError::new(PLANNED)) } else { Ok(()) }
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        let rest = io.take_unread();
        if !rest.is_empty() {
            self.script.received(self.who, By::Protocol, &rest);
        }
        self.tell(What::Eof { clean: end == EndOfStream::CloseNotify });
        self.called(Callback::End);
        if !self.plan.half_open {
            io.close();
        }
    }

    fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
        self.called(Callback::Pressure);
        if self.plan.brakes {
            io.hold_reading(on);
        }
    }

    fn drain(&mut self, io: &mut Io<'_, Self>, _: Instant) {
        self.tell(What::Draining);
        self.called(Callback::Drain);
        if !self.plan.ignores_drain {
            io.close();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_tick
    }

    fn timeout(&mut self, io: &mut Io<'_, Self>) {
        let n = self.called(Callback::Timeout);
        self.next_tick = self.plan.ticks.filter(|_| n < 20).map(|ticks| Instant::now() + ticks);
        self.write(io, 1_000);
    }

    fn poll(&mut self, _: &mut Io<'_, Self>, _: &mut std::task::Context<'_>) {
        if matches!(self.plan.bomb, Some((Callback::Poll, _))) {
            self.called(Callback::Poll);
        }
    }

    fn lost(&mut self, lost: &Lost) {
        self.tell(What::Lost(Box::new(lost.clone())));
        self.called(Callback::Lost);
    }
}
