//! The system: start, signals, the stop of everything, the exit code. The only room that may end an actix system.

mod notify;
mod run;

#[cfg(feature = "systemd")]
pub use notify::sockets_from_systemd;
pub use run::{Run, run};
