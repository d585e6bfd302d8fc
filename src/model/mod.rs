//! Every order in which things can happen, up to a bound: a model of a supervisor, a listener and two or three connections that is walked by a model checker.
//!
//! The decisions are the library's own: the lifecycle table and the causes ([`Life`](crate::connection::life::Life)), the register with its fence, the words of the orders, the schedule and the
//! course of a stop. What is modelled is what lies between them: mailboxes (in order), the books' news (in order), the shared word of the orders (overwritten), and who is polled when (anybody,
//! any time). So a law that holds here holds whatever the scheduler, the peers and the application do, within the bound.
//!
//! ```text
//!   application, listener ---- Ask ---->  inbox  \                     / orders, kill
//!                                                 supervisor: course, register ------------> Child: life
//!                             books ----- News -> /                                            |
//!                               ^------------------------ the ticket's end --------------------+
//! ```
//!
//! What it leaves out:
//!
//! - Bytes and TLS. A connection owes something or it does not; a close_notify is sent or not. What a failed close_notify of a teardown would change is not there.
//! - Amounts of time. A deadline of a connection may fire whenever there is one. Only the moments of a stop are moments: seconds, up to [`Cast::until`].
//! - The mailboxes of connections: a message that waits there is one that is sent later, as nobody sees it wait. And polls: each step of one is a step of its own.
//! - The release of the last handle, which is a close by the application or, once the owner is looked for, the owner's end; panics inside of the pump, which are the abort that they call; waiting
//!   writes; brakes on reading; workers but one; limits; more than one listener, and one that is suspended or stuck; the loss of the supervisor's own thread.
//! - An eviction that aborts, which is the abort of an application here.
//! - What stands between a connection's account of its end and the end of its ticket: both are one step, so nobody hangs in `Protocol::lost` here. News of connections that have opened.
//! - A misfortune befalls each connection as often as [`Cast::upsets`] says.

mod child;
mod fault;
mod happens;
mod laws;
mod player;
mod replay;
mod runs;
mod stage;
mod state;
mod supervisor;
mod turn;

use fault::Fault;
use happens::Happens;
use state::{Act, Ask, Left, Listener, State};
use stateright::{Model, Property};

use crate::lifecycle::Phase;

/// Who plays, and how much may happen to them.
#[derive(Clone, Debug)]
struct Cast {
    left: Left,
    /// Misfortunes a connection.
    upsets: u8,
    /// What is asked for begins with a dial, and not with a socket.
    dials: bool,
    /// The plan of the first stop, in seconds.
    plan: (u8, u8, u8),
    /// Those that a later stop may bring.
    later_plans: &'static [Option<(u8, u8, u8)>],
    /// The last tick.
    until: u8,
    /// A timer that is due fires before more time passes.
    punctual: bool,
    /// Whatever is to be done inside is done before anything comes from outside, as on one thread that has nothing else to do. Only then can a path be played by the real actors.
    eager: bool,
    /// What may happen to a connection.
    happens: fn(Happens) -> bool,
    fault: Option<Fault>,
}

impl Model for Cast {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        // Also with one stop alone: that it is acknowledged must not depend on a second.
        (1..=self.left.stops).map(|stops| State::new(Left { stops, ..self.left })).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        self.inside(state, actions);
        if self.eager && !actions.is_empty() {
            actions.truncate(1);
            return;
        }
        self.outside(state, actions);
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        match act {
            Act::Send(ask) => next.send(ask),
            Act::Handle => next.handle(self),
            Act::Hear => next.hear(self),
            Act::Timer => next.advance(self),
            Act::Look => next.look(),
            Act::ListenerEnds => {
                next.listener = Listener::Ended;
                next.news.push(state::News::ListenerEnded);
            }
            Act::ThreadEnds => next.thread_ends(),
            Act::Tick => {
                next.now += 1;
                next.looks = self.eager;
            }
            Act::Child(n, what) => next.child_acts(self, n, what),
        }
        // When all is said, what is still on its way to the supervisor is heard by nobody.
        if next.is_over() {
            next.news.clear();
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        laws::properties()
    }
}

impl Cast {
    /// What the library does by itself.
    fn inside(&self, state: &State, actions: &mut Vec<Act>) {
        if !state.inbox.is_empty() {
            actions.push(Act::Handle);
        }
        if state.timer.is_some_and(|timer| timer <= state::at(state.now)) {
            actions.push(Act::Timer);
        }
        let unseen = state
            .children
            .iter()
            .any(|child| child.owner_gone && !child.orders.owner_gone && state.register.find(child.id).is_some());
        if if self.eager { state.looks } else { unseen && !state.is_over() } {
            actions.push(Act::Look);
        }
        if !state.news.is_empty() {
            actions.push(Act::Hear);
        }
        self.children(state, actions, true);
        if state.thread_may_end() {
            actions.push(Act::ThreadEnds);
        }
        if state.listener == Listener::Told {
            actions.push(Act::ListenerEnds);
        }
    }

    /// What the application, the peers and the clock do.
    fn outside(&self, state: &State, actions: &mut Vec<Act>) {
        let left = state.left;
        if left.connects > 0 {
            actions.push(Act::Send(Ask::Connect));
        }
        if left.accepts > 0 && state.listener != Listener::Ended {
            actions.push(Act::Send(Ask::Admit));
        }
        if left.evictions > 0 && !state.is_over() {
            let alive = state.register.alive().map(|id| Act::Send(Ask::Evict(id.0 as u8 - 1)));
            actions.extend(alive);
        }
        if left.stops > 0 {
            if !state.stop_was_sent() {
                actions.push(Act::Send(Ask::Stop(None)));
            } else {
                actions.extend(self.later_plans.iter().map(|plan| Act::Send(Ask::Stop(*plan))));
            }
        }
        let due = state.timer.is_some_and(|timer| timer <= state::at(state.now));
        if state.course.has_begun() && !state.is_over() && state.now < self.until && !(self.punctual && due) {
            actions.push(Act::Tick);
        }
        self.children(state, actions, false);
    }

    fn children(&self, state: &State, actions: &mut Vec<Act>, internal: bool) {
        for (n, child) in state.children.iter().enumerate() {
            let can = Happens::ALL
                .into_iter()
                .filter(|what| what.is_internal() == internal && (self.happens)(*what) && child.can(*what, self.fault));
            actions.extend(can.map(|what| Act::Child(n as u8, what)));
            let lingers = child.life.phase == Phase::Lingering && !child.life.half_closed;
            if internal && self.eager && lingers && child.linger_is_over(state.now) {
                actions.push(Act::Child(n as u8, Happens::TimesOut));
            }
        }
    }
}

impl State {
    fn stop_was_sent(&self) -> bool {
        self.course.has_begun() || self.inbox.iter().any(|ask| matches!(ask, Ask::Stop(_)))
    }
}
