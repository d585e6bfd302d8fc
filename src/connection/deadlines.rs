//! How long a connection may stay as it is, and what it waits for.

use std::time::Duration;

use tokio::time::Instant;

use super::link::Link;
use crate::{lifecycle::Phase, ticket::WaitingFor};

impl Link {
    /// When the phase, as it is, is over. `None`: it may last.
    pub(super) fn phase_deadline(&self) -> Option<Instant> {
        match self.life.phase {
            // What the clock cannot say is never.
            Phase::Dialing => self.phase_since.checked_add(self.options.dial),
            Phase::Handshaking => self.phase_since.checked_add(self.options.handshake),
            Phase::Open => self.options.idle.and_then(|idle| self.progress.checked_add(idle)),
            Phase::Flushing => self.progress.checked_add(self.options.flush),
            Phase::Lingering if self.life.half_closed => {
                self.options.idle.and_then(|idle| self.progress.checked_add(idle))
            }
            Phase::Lingering => self.linger_until(),
            Phase::Lost => None,
        }
    }

    /// How long the peer's end is awaited once ours is said.
    pub(super) fn linger(&self) -> Duration {
        self.linger_cap.map_or(self.options.linger, |cap| self.options.linger.min(cap))
    }

    pub(super) fn linger_until(&self) -> Option<Instant> {
        let own = self.phase_since.checked_add(self.linger());
        own.into_iter().chain(self.kill_at).min()
    }

    pub(super) fn waiting_for(&self) -> WaitingFor {
        match self.life.phase {
            Phase::Dialing => WaitingFor::Connect,
            Phase::Handshaking => WaitingFor::Handshake,
            Phase::Lingering => WaitingFor::CloseNotify,
            _ if !self.out.is_empty() || self.life.phase == Phase::Flushing => WaitingFor::PeerToRead,
            _ if self.paused || self.held => WaitingFor::Application,
            _ => WaitingFor::Peer,
        }
    }
}
