//! The nine laws, each held by tests that name it: over in-memory pipes with a paused clock where time matters, over real sockets where the operating system does.
//!
//! The peers here are a bare `tokio_openssl::SslStream` that can misbehave, or a connection of our own. Peers that we did not write are in `tests/peers`.

#[path = "../common/acceptor.rs"]
mod acceptor;
#[path = "../common/roll_call.rs"]
mod roll_call;
mod stage;

mod closing;
mod conformance;
mod connecting;
mod events;
mod flowing;
mod framed;
mod half_closing;
mod injection;
mod leaving;
mod listening;
mod losing;
mod scale;
mod stopping;
mod streams;
mod system;
mod teardown;
mod unwrapping;
mod upgrading;
mod upgrading_crowd;
mod upgrading_ends;
mod writing;
