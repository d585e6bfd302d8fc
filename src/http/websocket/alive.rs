//! When to ask a silent peer whether it is there: pure, with the clock as a parameter.

use std::time::Duration;

use tokio::time::Instant;

/// A ping after so long a silence, and an answer within so long.
#[derive(Debug)]
pub(super) struct KeepAlive {
    after: Duration,
    within: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

/// What a deadline that has passed asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    Ping,
    /// The peer has not answered within this.
    Silent(Duration),
}

impl KeepAlive {
    pub(super) fn new(after: Duration, within: Duration) -> Self {
        KeepAlive { after, within, heard: Instant::now(), asked: None }
    }

    /// Something has come: whatever it is, the peer is there.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// What the clock cannot say is never.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.asked {
            Some(asked) => asked.checked_add(self.within),
            None => self.heard.checked_add(self.after),
        }
    }

    pub(super) fn passed(&mut self, now: Instant) -> Alarm {
        match self.asked {
            Some(_) => Alarm::Silent(self.within),
            None => {
                self.asked = Some(now);
                Alarm::Ping
            }
        }
    }
}
