//! The phases of a connection as one pure table: (phase, event) to phase.
//!
//! No clock, no I/O, no role: a client and a server live the same life, only that an accepted connection is
//! born in [`Phase::Handshaking`].
//!
//! ```text
//!                                                                 Unwrapped: what follows is not TLS
//!                                          +------------------------------------------+
//!             Dialed               Secured v         CloseAsked, PeerGone,            |
//!                                                    TimedOut (idle), UnwrapAsked     |
//!  ( Dialing ) ----> ( Handshaking ) ----> ( Open ) ------------------> ( Flushing )  |
//!       |                  |  ^              |  ^                            |        |
//!       |                  |  +--------------+  | PeerClosed: we may         | Flushed: our close_notify is out
//!       |                  |    SecureAsked  +--+ still write                v        |
//!       |                  |                 |                         ( Lingering ) -+
//!       |                  |                 |                               |
//!       | CloseAsked,      | the same, or    | Failed,                       | PeerClosed, PeerGone,
//!       | Failed, TimedOut,| PeerClosed,     | Aborted                       | Failed, TimedOut,
//!       | Aborted          | PeerGone        |                               | Aborted
//!       v                  v                 v                               v
//!      ( ------------------------------- Lost ------------------------------- )
//! ```

use Event::*;
use Phase::*;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Phase {
    /// The name is being resolved or an address is being connected to.
    Dialing,
    /// TCP is up; the TLS handshake is not done. An open connection comes here again when [TLS is started](crate::StartTls) on it.
    Handshaking,
    /// The handshake succeeded, or there is to be none: bytes flow.
    Open,
    /// A close was asked for: what was accepted is being written, then our close_notify.
    Flushing,
    /// Our close_notify is out, the peer's is awaited. When [TLS is ended](crate::StopTls) and not the connection, it is open again after this.
    Lingering,
    /// The socket is closed and the TLS state is freed. Nothing follows.
    Lost,
}

/// What can happen to a connection, as far as its phase is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A socket is connected.
    Dialed,
    /// The TLS handshake succeeded.
    Secured,
    /// Somebody here wants the connection closed gracefully.
    CloseAsked,
    /// Everything accepted, and our close_notify behind it, has left our buffers.
    Flushed,
    /// The peer's close_notify was read.
    PeerClosed,
    /// The peer's FIN was read and no close_notify before it.
    PeerGone,
    /// The dial, the handshake, the socket or the TLS layer failed.
    Failed,
    /// The deadline of the phase has passed (in [`Phase::Open`]: nothing moved for the idle timeout).
    TimedOut,
    /// An abort, a kill, a panic or a teardown: no further byte is written.
    Aborted,
    /// TLS is started on the open connection, and what goes before it has left our buffers.
    SecureAsked,
    /// TLS is to be ended, and the connection to go on without it.
    UnwrapAsked,
    /// Both close_notify are through, and the connection goes on below the TLS that they have ended.
    Unwrapped,
}

/// Every transition there is, one a line. What is not here changes nothing.
const TABLE: &[(Phase, Event, Phase)] = &[
    (Dialing, Dialed, Handshaking),
    (Dialing, CloseAsked, Lost),
    (Dialing, Failed, Lost),
    (Dialing, TimedOut, Lost),
    (Dialing, Aborted, Lost),
    (Handshaking, Secured, Open),
    (Handshaking, CloseAsked, Lost),
    (Handshaking, PeerClosed, Lost),
    (Handshaking, PeerGone, Lost),
    (Handshaking, Failed, Lost),
    (Handshaking, TimedOut, Lost),
    (Handshaking, Aborted, Lost),
    (Open, CloseAsked, Flushing),
    (Open, PeerGone, Flushing),
    (Open, Failed, Lost),
    (Open, TimedOut, Flushing),
    (Open, Aborted, Lost),
    (Open, SecureAsked, Handshaking),
    (Open, UnwrapAsked, Flushing),
    (Flushing, Flushed, Lingering),
    (Flushing, Failed, Lost),
    (Flushing, TimedOut, Lost),
    (Flushing, Aborted, Lost),
    (Lingering, PeerClosed, Lost),
    (Lingering, PeerGone, Lost),
    (Lingering, Failed, Lost),
    (Lingering, TimedOut, Lost),
    (Lingering, Aborted, Lost),
    (Lingering, Unwrapped, Open),
];

impl Phase {
    /// Every phase, in the order of life.
    pub const ALL: [Phase; 6] = [Dialing, Handshaking, Open, Flushing, Lingering, Lost];

    /// The phase after `event`; an event that the table does not know leaves the phase as it is.
    pub fn after(self, event: Event) -> Phase {
        // Two dozen rows: the scan costs less than one system call's thousandth, and a phase changes five times in most lives.
        TABLE.iter().find(|(phase, on, _)| *phase == self && *on == event).map_or(self, |(_, _, next)| *next)
    }

    /// The phase in one lower-case word, as the ledger and the metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialing => "dialing",
            Handshaking => "handshaking",
            Open => "open",
            Flushing => "flushing",
            Lingering => "lingering",
            Lost => "lost",
        }
    }

    /// Whether a close was asked for, so that no further write is accepted.
    pub fn is_closing(self) -> bool {
        matches!(self, Flushing | Lingering | Lost)
    }

    pub(crate) fn from_u8(value: u8) -> Phase {
        Phase::ALL.get(usize::from(value)).copied().unwrap_or(Lost)
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 12] = [
        Dialed,
        Secured,
        CloseAsked,
        Flushed,
        PeerClosed,
        PeerGone,
        Failed,
        TimedOut,
        Aborted,
        SecureAsked,
        UnwrapAsked,
        Unwrapped,
    ];
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every pair must give, written a second time and in another shape: a line a phase, a column an event.
    #[rustfmt::skip]
    fn expected(phase: Phase) -> [Phase; 12] {
        //                Dialed       Secured  CloseAsked Flushed    PeerClosed PeerGone   Failed  TimedOut   Aborted
        let (first, last) = match phase {
            Dialing     => ([Handshaking, Dialing,     Lost,      Dialing,     Dialing,   Dialing,   Lost, Lost,      Lost], [Dialing; 3]),
            Handshaking => ([Handshaking, Open,        Lost,      Handshaking, Lost,      Lost,      Lost, Lost,      Lost], [Handshaking; 3]),
            Open        => ([Open,        Open,        Flushing,  Open,        Open,      Flushing,  Lost, Flushing,  Lost], [Handshaking, Flushing, Open]),
            Flushing    => ([Flushing,    Flushing,    Flushing,  Lingering,   Flushing,  Flushing,  Lost, Lost,      Lost], [Flushing; 3]),
            Lingering   => ([Lingering,   Lingering,   Lingering, Lingering,   Lost,      Lost,      Lost, Lost,      Lost], [Lingering, Lingering, Open]),
            Lost        => ([Lost; 9], [Lost; 3]),
        };
        //                                                                                        SecureAsked, UnwrapAsked, Unwrapped
        [first.as_slice(), last.as_slice()].concat().try_into().unwrap()
    }

    /// Law 2: an illegal event changes nothing, a legal one does what the drawing says.
    #[test]
    fn every_pair_goes_where_the_drawing_says() {
        for phase in Phase::ALL {
            for (event, expected) in Event::ALL.into_iter().zip(expected(phase)) {
                assert_eq!(phase.after(event), expected, "{phase:?} after {event:?}");
            }
        }
    }

    /// Law 1: from every phase, an abort is the end, and the end is the end.
    #[test]
    fn every_life_can_end_and_ends_once() {
        for phase in Phase::ALL {
            assert_eq!(phase.after(Aborted), Lost);
        }
        for event in Event::ALL {
            assert_eq!(Lost.after(event), Lost, "nothing follows Lost, not even {event:?}");
        }
    }

    #[test]
    fn no_pair_stands_twice_in_the_table() {
        for (n, (phase, event, _)) in TABLE.iter().enumerate() {
            assert!(!TABLE[n + 1..].iter().any(|(p, e, _)| p == phase && e == event), "{phase:?} {event:?}");
        }
    }

    #[test]
    fn a_phase_survives_its_number() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_u8(phase as u8), phase);
        }
    }
}
