//! What can happen to a connection of the model.

use Happens::*;

/// What can happen to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Happens {
    // In its own poll, as soon as it can.
    SeesKill,
    Obeys,
    SaysCloseNotify,
    // From the peer and the network.
    Dialed,
    DialFails,
    Secured,
    HandshakeFails,
    Data,
    PeerReads,
    PeerCloses,
    PeerFin,
    Reset,
    // From the application, the clock and the runtime.
    TimesOut,
    AppCloses,
    GivenUp,
    AppHalfCloses,
    AppAborts,
    OwnerDies,
    Panics,
    Hangs,
    ComesRound,
    ThreadLost,
    /// TLS is started on the open connection; it is ended, with or without bytes that wait to go behind it.
    AppSecures,
    AppUnwraps,
    AppUnwrapsAndWrites,
}

impl Happens {
    pub(super) const ALL: [Happens; 25] = [
        SeesKill,
        Obeys,
        SaysCloseNotify,
        Dialed,
        DialFails,
        Secured,
        HandshakeFails,
        Data,
        PeerReads,
        PeerCloses,
        PeerFin,
        Reset,
        TimesOut,
        AppCloses,
        GivenUp,
        AppHalfCloses,
        AppAborts,
        OwnerDies,
        Panics,
        Hangs,
        ComesRound,
        ThreadLost,
        AppSecures,
        AppUnwraps,
        AppUnwrapsAndWrites,
    ];

    /// What a connection does by itself when it is polled.
    pub(super) fn is_internal(self) -> bool {
        matches!(self, SeesKill | Obeys | SaysCloseNotify)
    }

    /// What does not belong to an ordinary life: a bound on how many of these befall one connection bounds the model.
    pub(super) fn is_upset(self) -> bool {
        matches!(
            self,
            GivenUp
                | Reset
                | AppHalfCloses
                | AppAborts
                | OwnerDies
                | Panics
                | Hangs
                | ThreadLost
                | AppSecures
                | AppUnwraps
                | AppUnwrapsAndWrites
        )
    }
}
