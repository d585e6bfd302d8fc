//! Ways to use the real functions wrongly. For each there is a law that the checker must find broken.

/// A defect that is planted on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The answer of `Register::end` is not looked at, so a connection that was written off and comes round is told of again.
    TellsAgain,
    /// `Connection::finish` runs again in the drop of the actor.
    FinishesTwice,
    /// What an application asks for is passed off as accepted by a listener.
    AskedPassesAsAccepted,
    /// The fence stays at the lame duck's.
    FenceStaysAjar,
    /// The last ticket is not waited for.
    AcknowledgesEarly,
    /// Ends that were not passed on yet are not waited for.
    AcknowledgesUntold,
    /// Listeners are not waited for.
    ForgetsListeners,
    /// The register hears of the stop when the drain begins.
    BeginsLate,
    /// A bare FIN is taken for a close_notify.
    FinIsClean,
    /// An event is delivered when the end has been told.
    LivesOn,
    /// A second stop makes a schedule of its own.
    SecondStopExtends,
    /// What does not answer to the kill is waited for.
    NeverWritesOff,
    /// The news of an end is not sent.
    KeepsNews,
    /// The orders of a stop take an eviction back.
    OrdersForget,
    /// The handshake of TLS that was started later is told as `Connected`.
    ConnectsAgain,
    /// The proof of TLS that has ended is taken for that of what follows.
    KeepsProof,
    /// A close does not look at what waits for the end of TLS.
    ForgetsWhatWaits,
}

impl Fault {
    /// Every fault, with the law that it breaks and the small run in which it does.
    pub(super) const ALL: [(Fault, &'static str, &'static str); 17] = [
        (Fault::TellsAgain, "one Lost each", "one life"),
        (Fault::FinishesTwice, "one Lost each", "one life"),
        (Fault::AskedPassesAsAccepted, "none admitted after the fence", "crossing"),
        (Fault::FenceStaysAjar, "none admitted after the fence", "crossing"),
        (Fault::AcknowledgesEarly, "acknowledged implies nothing outstanding", "one life"),
        (Fault::AcknowledgesUntold, "every Lost is passed on before the acknowledgement", "one life"),
        (Fault::ForgetsListeners, "acknowledged implies nothing outstanding", "crossing"),
        (Fault::BeginsLate, "a row for each that was alive", "stops"),
        (Fault::FinIsClean, "a clean reason is clean", "one life"),
        (Fault::LivesOn, "nothing after Lost", "one life"),
        (Fault::SecondStopExtends, "a second stop moves no moment later", "stops"),
        (Fault::NeverWritesOff, "every stop is acknowledged", "one life"),
        (Fault::KeepsNews, "every stop is acknowledged", "crossing"),
        (Fault::OrdersForget, "an order stands", "stops"),
        (Fault::ConnectsAgain, "nothing after Lost", "one life"),
        (Fault::KeepsProof, "the proof is true", "one life"),
        (Fault::ForgetsWhatWaits, "a clean reason is clean", "one life"),
    ];
}
