//! TLS connections as actors, under a supervisor whose stop waits for the end of every one of them, and says how each ended.
//!
//! A program that speaks TLS has to shut down *asynchronously*: write what it owes, send close_notify, wait a bounded time for the peer's, and only then close the socket. Most clients drop their
//! connections instead, and nobody learns what became of them. Here every connection ends in exactly one [`Lost`], whatever happens, and the answer to a [`Stop`] is a [`Ledger`] that says how.
//!
//! ```no_run
//! use exeunt::{Call, Connect, Lines, Supervisor};
//!
//! fn main() -> std::process::ExitCode {
//!     exeunt::run(Supervisor::default(), |supervisor| async move {
//!         let connection = supervisor
//!             .send(Connect::to("localhost:4433", Lines::default()).trust_file("ca.pem"))
//!             .await??;
//!         println!("{}", connection.send(Call::new("ping")).await??);
//!         Ok(())
//!     }) // the future's end, SIGTERM, SIGINT or a bare System::stop: drain, print the ledger, exit by its verdict
//! }
//! ```
//!
//! # What holds, whatever happens
//!
//! 1. **One `Lost`** for every connection that was admitted: a refused dial, a failed handshake, a clean close, a truncation, a reset, a panic, a runtime torn down.
//! 2. **Order**: `Connected` at most once, data, at most one end of stream, `Lost`, nothing after it; and no callback from inside your own call.
//! 3. **`Lost` means gone**: the socket is closed and the TLS state is freed.
//! 4. **A close delivers** what was accepted before it, or `Lost` says how many bytes were not sent, and why.
//! 5. **No silent truncation**: an end of stream without close_notify is [`Reason::Truncated`].
//! 6. **A stop waits** for the last `Lost`, and never longer than its [`StopPlan`]; who comes after it is refused, and told.
//! 7. **The manager never blocks**: a thousand peers that never answer cost one deadline.
//! 8. **Memory is bounded** by the marks of [`Options`]; an idle connection holds no buffer.
//! 9. **Every end is told**: a row for each connection that was alive when the stop began, and totals by reason.
//!
//! Not claimed: that the peer's *application* processed what its TCP acknowledged, and that anything survives SIGKILL.
//!
//! # Where to begin
//!
//! | to | see |
//! |---|---|
//! | run an application | [`run`], [`Run`] |
//! | go by a proxy | `Proxy`, `Proxies`, with the feature `proxy` |
//! | connect, listen, adopt a socket | [`Supervisor`], [`Connect`], [`Listen`], [`Adopt`] |
//! | call and get replies | [`Framed`], [`Lines`], [`Call`] |
//! | own connections by messages | [`Events`], [`Owner`], [`Connected`], [`Data`], [`Eof`], [`Draining`], [`Lost`] |
//! | use a connection as a stream of bytes | [`Streamed`], [`SupervisedStream`], [`Connect::open`]; after an HTTP upgrade `http::upgrade` |
//! | speak a protocol of your own | [`Protocol`], [`Io`], [`Connection::parts`] |
//! | start or end TLS in mid-stream | [`StartTls`], [`Secured`], [`StopTls`] |
//! | configure TLS | [`ClientTls`], [`ServerTls`] |
//! | stop, and know how it went | [`Stop`], [`StopPlan`], [`Ledger`], [`Reason`] |
//! | test one's own shutdown | the module `sim`, with the feature of that name |
//! | watch | [`Roll`], [`Subscribe`], `tracing`, the feature `metrics` |
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `serde` | yes | `Lost` and `Ledger` serialize |
//! | `systemd` | yes | `READY=1`, `STOPPING=1` and progress for systemd; `sockets_from_systemd` |
//! | `metrics` | no | through the [`metrics`](https://docs.rs/metrics) facade: the gauge `exeunt_connections` by role and phase; the counters `exeunt_connections_admitted_total` and `…_connected_total` by role, `…_refused_total` by refusal, `…_lost_total` by role, phase and reason, `exeunt_bytes_total` by direction; the histogram `exeunt_connection_age_seconds` by role and reason |
//! | `proxy` | no | `Connect::proxy`: HTTP proxies by CONNECT, over TLS too; with `http`, `http::SessionBuilder::proxy` |
//! | `socks` | no | `proxy`, and SOCKS5 |
//! | `hickory` | no | `HickoryResolver`: DNS with the records' own time to live, for a [`CachedResolver`] |
//! | `http` | no | `proxy`, and HTTP/1.1 over supervised connections: the session and the server of the module `http` |
//! | `http2` | no | `http`, and HTTP/2 beside HTTP/1.1: by ALPN and by prior knowledge, in a session and in a server |
//! | `json` | no | `http`, and JSON bodies: `http::Body::json`, `http::Response::json` |
//! | `charset` | no | `http`, and text in the charset that its peer names; without it UTF-8 and US-ASCII, and an error for all others |
//! | `compression` | no | `gzip`, `deflate`, `brotli` and `zstd`, of which each is a feature, too: `http`, and responses in this encoding are decoded, up to a limit |
//! | `tower` | no | `http`, and `http::serve_tower` |
//! | `hyper-util` | no | `http::Connector`: hyper-util's legacy client on supervised connections |
//! | `cookies` | no | `http`, and `http::CookieJar` for the session |
//! | `multipart` | no | `http`, and forms of parts: `http::Form` to send, `http::Multipart` to read |
//! | `digest` | no | `http`, and digest authorization of requests |
//! | `awc` | no | the module `awc`: the connections of awc's client, supervised |
//! | `websocket` | no | `http`, and the module `http::websocket`: WebSocket as client and server |
//! | `sim` | no | the module `sim`: seeded simulation of your own actors on a paused clock, for tests; needs OpenSSL 3.0 or AWS-LC |
//! | `vendored` | no | builds OpenSSL from source |
//! | `aws-lc` | no | AWS-LC in OpenSSL's place; the build needs cmake and libclang. Reasons are in its words. It chooses no suites of TLS 1.3, ends a connection whose server renegotiates, does not understand an alert that OpenSSL's client sends in the clear, and as a server sends the tickets of TLS 1.3 with its first bytes |
#![deny(unsafe_code)]

// In the order in which to read them: each imports only from those above it.
pub mod lifecycle;

pub mod fate;

mod ticket;

pub mod tls;

pub mod dial;

mod connection;

mod supervisor;

mod listener;

#[cfg(feature = "http")]
pub mod http;

#[cfg(feature = "awc")]
pub mod awc;

mod system;

mod telling;

#[cfg(feature = "sim")]
pub mod sim;

#[cfg(test)]
mod model;

#[cfg(test)]
mod woken;

pub use connection::{
    Abort, AnyHandle, Call, CallError, Close, ConnectError, Connected, Connection, Data, Draining, EndOfStream, Ended,
    Eof, Events, Flush, Framed, GetInfo, HalfClose, HandOver, Handle, Info, Io, LateData, Lines, Options, Owner,
    Parked, PauseReading, Protocol, ProtocolError, Reply, ResumeReading, Secured, StartTls, StopTls, StreamError,
    Streamed, SupervisedStream, SwitchError, Write, WriteError,
};
#[cfg(feature = "hickory")]
pub use dial::HickoryResolver;
pub use dial::{
    CachedResolver, DialOptions, Keepalive, Resolved, Resolver, StaticResolver, SystemResolver, Target, TargetError,
};
#[cfg(feature = "proxy")]
pub use dial::{Proxies, Proxy, ProxyError};
pub use fate::{
    Attempt, CloseProof, ConnectionId, DialFailure, HandshakeFailure, Ledger, Lost, Peer, ProxyFailure, ProxyLeg,
    Reason, Role, Row, TlsAlert, Totals, Verdict,
};
pub use lifecycle::Phase;
pub use listener::{Listen, ListenError, Listening, Resume, Suspend};
pub use supervisor::{
    Adopt, Connect, Evict, Progress, Remaining, Roll, Stage, Stop, StopPlan, Subscribe, Subscription, Supervisor,
};
#[cfg(feature = "systemd")]
pub use system::sockets_from_systemd;
pub use system::{Run, run};
pub use ticket::{Books, Refusal, RollEntry, WaitingFor};
pub use tls::{ClientTls, ServerTls, Socket};
