//! What always holds, what comes about in the end, and what is to be seen on the way so that the rest means something.

use stateright::Property;

use super::{
    Cast,
    child::{Child, Task},
    state::{Listener, State, Thread},
};
use crate::{
    fate::{Lost, Reason, Row},
    lifecycle::Phase,
    supervisor::Stage,
};

pub(super) fn properties() -> Vec<Property<Cast>> {
    let mut properties = laws();
    properties.extend(scenes());
    properties
}

fn laws() -> Vec<Property<Cast>> {
    vec![
        Property::always("one Lost each", |_, state: &State| {
            state.children.iter().all(|child| {
                let Child { seen, task, .. } = child;
                let told = u8::from(state.register.find(child.id).is_none());
                seen.told == told && seen.lost == u8::from(*task == Task::Gone)
            })
        }),
        Property::always("none admitted after the fence", |_, state: &State| !state.truth.admitted_late),
        Property::always("acknowledged implies nothing outstanding", |_, state: &State| {
            let gone = |child: &Child| child.task == Task::Gone || child.seen.written_off;
            !state.is_over()
                || state.register.outstanding() == 0
                    && state.children.iter().all(gone)
                    && (state.listener == Listener::Ended || state.thread == Thread::Forgotten)
                    && state.thread != Thread::Dismissed
        }),
        Property::always("every Lost is passed on before the acknowledgement", |_, state: &State| !state.truth.untold),
        // Sound although the checker joins paths: whether it was acknowledged is a part of the state, and no step leads back.
        Property::eventually("every stop is acknowledged", |_, state: &State| state.is_over()),
        Property::always("nothing after Lost", |_, state: &State| {
            let in_order = |child: &Child| {
                let seen = &child.seen;
                !seen.after_lost
                    && seen.connected <= 1
                    && (seen.connected == 1 || seen.secured + seen.unwrapped == 0)
                    && seen.ends_of_stream <= 1
            };
            state.children.iter().all(in_order)
        }),
        Property::always("a clean reason is clean", |_, state: &State| {
            let clean = |child: &Child, lost: &Lost| {
                let seen = &child.seen;
                match lost.reason {
                    Reason::Closed => seen.peer_notified && seen.we_notified && lost.bytes_unsent == 0,
                    // Our answer may come too late for a peer that has closed its socket at once; what it was owed may not be missing.
                    Reason::ClosedByPeer => seen.peer_notified && lost.bytes_unsent == 0,
                    Reason::Unanswered => seen.we_notified && lost.bytes_unsent == 0,
                    _ => true,
                }
            };
            state.children.iter().all(|child| child.lost.as_ref().is_none_or(|lost| clean(child, lost)))
        }),
        Property::always("the proof is true", |_, state: &State| {
            let life = |child: &Child| (child.life.proof.close_notify_sent, child.life.proof.close_notify_received);
            state.children.iter().all(|child| life(child) == (child.seen.we_notified, child.seen.peer_notified))
        }),
        Property::always("a row for each that was alive", |_, state: &State| {
            !state.is_over() || {
                let (rows, totals) = state.register.account();
                rows.len() == usize::from(state.truth.rows_due)
                    && totals.admitted == totals.lost
                    && totals.admitted == state.children.len() as u64
                    && rows.iter().all(|row| agrees(row, &state.children[row.lost.id.0 as usize - 1]))
            }
        }),
        Property::always("a second stop moves no moment later", |_, state: &State| !state.truth.moved_later),
        Property::always("an order stands", |_, state: &State| {
            let obeyed = |child: &Child| {
                let closing = child.life.phase > Phase::Open || child.task != Task::Running;
                !child.seen.evicted || child.pending || closing
            };
            state.children.iter().all(obeyed)
        }),
    ]
}

/// The ledger tells what the connection itself tells; when it was written off, it tells so.
fn agrees(row: &Row, child: &Child) -> bool {
    match child.seen.written_off {
        true => row.lost.reason == Reason::Abandoned,
        false => child.lost.as_ref() == Some(&row.lost),
    }
}

/// Whether one that has ended did it so.
fn ended(state: &State, is: impl Fn(&Child, &Lost) -> bool) -> bool {
    state.children.iter().any(|child| child.lost.as_ref().is_some_and(|lost| is(child, lost)))
}

fn draining(state: &State) -> bool {
    state.stage() >= Some(Stage::Drain)
}

macro_rules! scenes {
    ($($name:literal => |$state:ident| $condition:expr),* $(,)?) => {
        vec![$(Property::sometimes($name, |_, $state: &State| $condition)),*]
    };
}

fn scenes() -> Vec<Property<Cast>> {
    scenes![
        "a connect is refused in the lame duck" => |state| state.truth.refused_asked == Some(Stage::LameDuck),
        "a connect is refused in the drain" => |state| state.truth.refused_asked == Some(Stage::Drain),
        "one is accepted in the lame duck" => |state| state.children.iter().any(|child| child.seen.in_lame_duck && child.life.phase == Phase::Open),
        "an accepted one crosses with the fence" => |state| state.truth.refused_accepted,
        "a lame duck's connection is cancelled by the drain" => |state| ended(state, |child, lost| child.seen.in_lame_duck && lost.reason == Reason::Cancelled),
        "a lingering one is killed" => |state| ended(state, |_, lost| lost.reason == Reason::Killed && lost.phase == Phase::Lingering),
        "a flushing one is killed, and owes" => |state| ended(state, |_, lost| lost.reason == Reason::Killed && lost.phase == Phase::Flushing && lost.bytes_unsent > 0),
        "a linger is over at the moment of the kill" => |state| ended(state, |child, lost| child.killed && lost.reason == Reason::Unanswered),
        "one is written off" => |state| state.children.iter().any(|child| child.seen.written_off && child.task == Task::Hanging),
        "one that was written off comes round after the acknowledgement" => |state| state.is_over() && ended(state, |child, _| child.seen.written_off),
        "a handler panics in the drain" => |state| draining(state) && ended(state, |child, lost| child.life.draining && matches!(lost.reason, Reason::Panicked(_))),
        "the owner goes while its connection is flushing" => |state| state.lives().any(|(child, life)| child.orders.owner_gone && life.phase == Phase::Flushing && life.cause.is_none()),
        "the owner goes, and that ends its connection" => |state| ended(state, |_, lost| lost.reason == Reason::OwnerGone && lost.proof.close_notify_received),
        "a thread is lost while its connection lingers" => |state| ended(state, |_, lost| lost.reason == Reason::Abandoned && lost.phase == Phase::Lingering),
        "a thread is lost, and says close_notify" => |state| ended(state, |_, lost| lost.reason == Reason::Abandoned && lost.proof.close_notify_sent && lost.phase == Phase::Open),
        "a second stop in the lame duck" => |state| state.truth.second_stop == Some(Stage::LameDuck),
        "a second stop in the drain" => |state| state.truth.second_stop == Some(Stage::Drain),
        "a second stop in the linger" => |state| state.truth.second_stop == Some(Stage::Linger),
        "a second stop after the kill" => |state| state.truth.second_stop == Some(Stage::Kill) && !state.truth.stop_after_all,
        "a stop after the acknowledgement" => |state| state.truth.stop_after_all,
        "the peer's FIN while flushing" => |state| state.lives().any(|(_, life)| life.phase == Phase::Flushing && life.proof.fin_seen && life.cause.is_none()),
        "the peer's close_notify while flushing" => |state| state.lives().any(|(child, life)| child.owes && life.phase == Phase::Flushing && life.proof.close_notify_received && life.cause.is_none()),
        "a FIN truncates, and what was owed is written" => |state| ended(state, |child, lost| child.seen.data && lost.reason == Reason::Truncated && lost.bytes_unsent == 0),
        "a FIN truncates a half-closed one" => |state| ended(state, |child, lost| child.delivers_late && lost.phase == Phase::Lingering && lost.reason == Reason::Truncated),
        "a reset costs what the peer's clean close would have let through" => |state| ended(state, |_, lost| lost.reason == Reason::Reset && lost.proof.close_notify_received && lost.bytes_unsent > 0),
        "a reset after the first cause" => |state| ended(state, |child, lost| child.life.last_phase == Phase::Flushing && lost.reason == Reason::ClosedByPeer),
        "an abort while lingering" => |state| ended(state, |_, lost| lost.reason == Reason::Aborted && lost.phase == Phase::Lingering),
        "an abort after the peer's close" => |state| ended(state, |_, lost| lost.reason == Reason::Aborted && lost.proof.close_notify_received && lost.phase == Phase::Open),
        "a half-closed one is closed by the stop" => |state| ended(state, |child, lost| child.delivers_late && lost.reason == Reason::Unanswered && state.stage() >= Some(Stage::Linger)),
        "an eviction in the drain" => |state| draining(state) && ended(state, |child, lost| child.seen.evicted && lost.reason == Reason::Closed && child.life.draining),
        "a handshake is cancelled by the drain" => |state| draining(state) && ended(state, |child, lost| !child.accepted && lost.reason == Reason::Cancelled && lost.phase == Phase::Handshaking),
        "started TLS is there" => |state| state.children.iter().any(|child| child.seen.secured > 0 && child.life.phase == Phase::Open),
        "the handshake of started TLS fails" => |state| ended(state, |child, lost| child.seen.connected > 0 && matches!(lost.reason, Reason::HandshakeFailed(_))),
        "the handshake of started TLS is cancelled by the drain" => |state| draining(state) && ended(state, |child, lost| child.seen.connected > 0 && lost.reason == Reason::Cancelled),
        "TLS has ended and the connection goes on" => |state| state.children.iter().any(|child| child.seen.unwrapped > 0 && child.life.phase == Phase::Open),
        "a close waits for the end of TLS, and delivers" => |state| ended(state, |child, lost| child.seen.unwrapped > 0 && lost.reason == Reason::Closed && !child.seen.data),
        "the end of TLS is not answered, and something waits for it" => |state| ended(state, |child, lost| child.waits && lost.reason == Reason::TimedOut(Phase::Flushing) && lost.phase == Phase::Lingering),
        "a drain in the middle of the end of TLS" => |state| state.lives().any(|(_, life)| life.unwraps && life.draining),
        "a flush times out" => |state| ended(state, |_, lost| lost.reason == Reason::TimedOut(Phase::Flushing)),
        "all are closed and the verdict is clean" => |state| state.is_over() && state.children.len() > 1 && state.children.iter().all(|child| child.lost.as_ref().is_some_and(|lost| lost.reason == Reason::Closed)),
    ]
}

#[cfg(test)]
pub(super) fn is_law(name: &str) -> bool {
    laws().iter().any(|law| law.name == name)
}
