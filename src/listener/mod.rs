//! The listener: accepts, and hands over to the supervisor. It never handshakes: each connection does that itself, so one bad client never hurts the others.

mod accept;
mod listen;
#[cfg(unix)]
mod unix;

pub use accept::{Resume, Suspend};
pub use listen::{Listen, ListenError, Listening};
