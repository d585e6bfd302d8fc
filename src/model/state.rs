//! The supervisor, the listener and the network between them and the connections.

use std::{sync::LazyLock, time::Duration};

use tokio::time::Instant;

use super::{
    child::{Child, Task},
    happens::Happens,
};
use crate::{
    connection::life::Life,
    fate::ConnectionId,
    supervisor::{Stage, course::Course},
    ticket::Register,
};

/// The instant of a tick. A tick is a second: time is as coarse as that, and whole.
pub(super) fn at(tick: u8) -> Instant {
    static ZERO: LazyLock<Instant> = LazyLock::new(Instant::now);
    *ZERO + Duration::from_secs(tick.into())
}

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) now: u8,
    pub(super) course: Course,
    pub(super) timer: Option<Instant>,
    pub(super) register: Register<ConnectionId>,
    pub(super) children: Vec<Child>,
    pub(super) listener: Listener,
    /// How many listeners the supervisor believes in.
    pub(super) listeners: usize,
    pub(super) thread: Thread,
    /// The supervisor's mailbox, and the channel of the books' news: both in order, neither in order with the other.
    pub(super) inbox: Vec<Ask>,
    pub(super) news: Vec<News>,
    /// Ends that the supervisor has passed on.
    pub(super) told: u64,
    pub(super) looks: bool,
    pub(super) left: Left,
    pub(super) truth: Truth,
}

/// What the environment may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) connects: u8,
    pub(super) accepts: u8,
    pub(super) evictions: u8,
    pub(super) stops: u8,
}

/// What is true, whatever the code believes. Only the laws read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Truth {
    pub(super) admitted_late: bool,
    pub(super) moved_later: bool,
    pub(super) rows_due: u8,
    pub(super) refused_asked: Option<Stage>,
    pub(super) refused_accepted: bool,
    pub(super) second_stop: Option<Stage>,
    pub(super) stop_after_all: bool,
    /// An end was not passed on before the acknowledgement.
    pub(super) untold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Listener {
    Accepting,
    /// `EndListening` is in its mailbox.
    Told,
    Ended,
}

/// The thread that connections run on, which a stop joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Thread {
    Running,
    Dismissed,
    Joined,
    /// It hangs, and is left to itself.
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ask {
    Connect,
    Admit,
    Evict(u8),
    /// The plan in seconds of lame duck, drain and linger; `None` joins.
    Stop(Option<(u8, u8, u8)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum News {
    Lost,
    ListenerEnded,
    WorkerEnded,
}

/// A step of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// Something is sent to the supervisor.
    Send(Ask),
    /// The supervisor handles what is first in its mailbox, hears what is first in the news, finds its timer due, or looks for owners that are gone.
    Handle,
    Hear,
    Timer,
    Look,
    /// The listener obeys; the thread returns.
    ListenerEnds,
    ThreadEnds,
    /// A second passes.
    Tick,
    Child(u8, Happens),
}

impl State {
    pub(super) fn new(left: Left) -> Self {
        State {
            now: 0,
            course: Course::default(),
            timer: None,
            register: Register::new(usize::MAX),
            children: Vec::new(),
            listener: if left.accepts > 0 { Listener::Accepting } else { Listener::Ended },
            listeners: usize::from(left.accepts > 0),
            thread: Thread::Running,
            inbox: Vec::new(),
            news: Vec::new(),
            told: 0,
            looks: false,
            left,
            truth: Truth::default(),
        }
    }

    pub(super) fn child(&mut self, id: ConnectionId) -> &mut Child {
        &mut self.children[id.0 as usize - 1]
    }

    pub(super) fn is_over(&self) -> bool {
        self.course.is_acknowledged()
    }

    pub(super) fn stage(&self) -> Option<Stage> {
        self.course.stage()
    }

    pub(super) fn send(&mut self, ask: Ask) {
        let left = &mut self.left;
        *match ask {
            Ask::Connect => &mut left.connects,
            Ask::Admit => &mut left.accepts,
            Ask::Evict(_) => &mut left.evictions,
            Ask::Stop(_) => &mut left.stops,
        } -= 1;
        self.inbox.push(ask);
    }

    pub(super) fn thread_may_end(&self) -> bool {
        self.thread == Thread::Dismissed && self.children.iter().all(|child| child.task == Task::Gone)
    }

    pub(super) fn lives(&self) -> impl Iterator<Item = (&Child, &Life)> {
        self.children.iter().map(|child| (child, &child.life))
    }
}
