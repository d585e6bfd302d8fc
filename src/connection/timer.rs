//! One timer a connection, and none for an idle one.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Fires when a deadline that may move has passed.
///
/// Deadlines mostly move later (each byte moves the idle timeout). So the timer stays where it was set and looks again when it fires; only a nearer deadline resets it. A
/// timer whose deadline has gone away is left alone: it wakes the task once more for nothing.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Whether `deadline` has passed. Otherwise the task is woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> bool {
        if deadline.is_none() && self.sleep.as_ref().is_none_or(|sleep| !sleep.is_elapsed()) {
            return false;
        }
        loop {
            let Some(sleep) = &mut self.sleep else {
                let Some(deadline) = deadline else { return false };
                self.sleep = Some(Box::pin(sleep_until(deadline)));
                continue;
            };
            if let Some(nearer) = deadline.filter(|deadline| *deadline < sleep.deadline()) {
                sleep.as_mut().reset(nearer);
            }
            match sleep.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(()) => {
                    self.sleep = None;
                    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                        return true;
                    }
                }
            }
        }
    }
}
