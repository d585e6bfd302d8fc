//! A connection of the model: the real [`Life`] and [`Orders`], with the stream, the protocol and the clock taken away.

use tokio::time::Instant;

use super::{
    fault::Fault,
    happens::Happens::{self, *},
};
use crate::{
    connection::life::Life,
    fate::{ConnectionId, Lost},
    lifecycle::Phase,
    ticket::Orders,
};

/// What becomes of the task that polls a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Task {
    Running,
    /// Somebody's handler does not return, so nothing is polled.
    Hanging,
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Child {
    pub(super) id: ConnectionId,
    pub(super) accepted: bool,
    pub(super) life: Life,
    pub(super) task: Task,
    /// Bytes were accepted for writing and are not written.
    pub(super) owes: bool,
    /// Bytes were accepted that are to go behind the TLS that is being ended.
    pub(super) waits: bool,
    pub(super) delivers_late: bool,
    /// The kill, as far as orders have brought it.
    pub(super) kill_at: Option<Instant>,
    /// The shared word, and whether it was written since it was last read.
    pub(super) orders: Orders,
    pub(super) pending: bool,
    pub(super) killed: bool,
    pub(super) owner_gone: bool,
    /// Its own account of its end.
    pub(super) lost: Option<Lost>,
    /// How many misfortunes may still befall it.
    pub(super) upsets: u8,
    /// Whether its linger has a length, and the tick when it began. Otherwise a linger is over when it likes.
    pub(super) measures: bool,
    pub(super) lingers_since: u8,
    pub(super) forgets_what_waits: bool,
    pub(super) seen: Seen,
}

/// What is true, whatever the code believes. Only the laws read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) connected: u8,
    /// How often TLS that was started later was there, and ended again.
    pub(super) secured: u8,
    pub(super) unwrapped: u8,
    pub(super) data: bool,
    pub(super) ends_of_stream: u8,
    /// How often the protocol was told of the end, and how often the books' news were.
    pub(super) lost: u8,
    pub(super) told: u8,
    /// Something was told after the end.
    pub(super) after_lost: bool,
    pub(super) peer_notified: bool,
    pub(super) we_notified: bool,
    pub(super) evicted: bool,
    pub(super) written_off: bool,
    /// Admitted in a stop.
    pub(super) in_lame_duck: bool,
}

impl Child {
    pub(super) fn new(id: ConnectionId, accepted: bool, phase: Phase, upsets: u8) -> Self {
        Child {
            id,
            accepted,
            life: Life::new(phase, true),
            task: Task::Running,
            owes: false,
            waits: false,
            delivers_late: false,
            kill_at: None,
            orders: Orders::default(),
            pending: false,
            killed: false,
            owner_gone: false,
            lost: None,
            upsets,
            measures: false,
            lingers_since: 0,
            forgets_what_waits: false,
            seen: Seen::default(),
        }
    }

    pub(super) fn wants_read(&self) -> bool {
        self.life.wants_read(self.delivers_late, false)
    }

    /// Whether this can happen now.
    pub(super) fn can(&self, what: Happens, fault: Option<Fault>) -> bool {
        let phase = self.life.phase;
        if fault == Some(Fault::LivesOn) && self.task == Task::Gone {
            return what == PeerFin && !self.life.proof.fin_seen;
        }
        if what == ComesRound {
            // One that comes round before it is written off was only slow, as every step may be.
            return self.task == Task::Hanging && self.seen.written_off;
        }
        if self.task != Task::Running || (what.is_upset() && self.upsets == 0) {
            return false;
        }
        // It was open, whatever it is in now: somebody has a handle.
        let known = self.life.connected;
        let open = matches!(phase, Phase::Open | Phase::Flushing | Phase::Lingering);
        match what {
            SeesKill => self.killed,
            Obeys => self.pending,
            SaysCloseNotify => phase == Phase::Flushing && !self.owes,
            Dialed | DialFails => phase == Phase::Dialing,
            Secured | HandshakeFails => phase == Phase::Handshaking,
            Data => self.wants_read() && !self.seen.data,
            PeerReads => self.owes,
            PeerCloses | PeerFin => self.wants_read(),
            Reset => open && (self.wants_read() || self.owes || phase == Phase::Flushing),
            // A linger of its own may be over at any time, a linger after a half-close only by an order.
            TimesOut => match phase {
                Phase::Lingering => !self.life.half_closed,
                Phase::Open => self.upsets > 0,
                _ => true,
            },
            AppCloses => known && (!self.life.is_closing() || self.life.half_closed),
            GivenUp => phase < Phase::Open && (!self.accepted || known),
            AppHalfCloses => phase == Phase::Open,
            OwnerDies => known && !self.owner_gone,
            AppAborts => known,
            Panics | Hangs | ThreadLost => known,
            AppSecures => phase == Phase::Open && !self.owes && self.wants_read(),
            AppUnwraps | AppUnwrapsAndWrites => phase == Phase::Open && !self.life.proof.fin_seen,
            ComesRound => false,
        }
    }
}
