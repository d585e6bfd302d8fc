//! TLS connections as actors, under a supervisor whose stop waits for the end of every one of them and says how it ended.
#![deny(unsafe_code)]

mod connection;
pub mod dial;
pub mod fate;
pub mod lifecycle;
mod listener;
mod supervisor;
mod system;
mod telling;
mod ticket;
pub mod tls;

pub use connection::{
    Abort, Call, CallError, Close, ConnectError, Connected, Connection, Data, Draining, EndOfStream, Ended, Eof,
    Events, Flush, Framed, GetInfo, HalfClose, HandOver, Handle, Info, Io, LateData, Lines, Options, Owner, Parked,
    PauseReading, Protocol, ProtocolError, ResumeReading, Write, WriteError,
};
pub use dial::{DialOptions, Keepalive, Resolver, StaticResolver, SystemResolver, Target, TargetError};
pub use fate::{
    Attempt, CloseProof, ConnectionId, DialFailure, HandshakeFailure, Ledger, Lost, Peer, Reason, Role, Row, TlsAlert,
    Totals, Verdict,
};
pub use lifecycle::Phase;
pub use listener::{Listen, ListenError, Listening, Resume, Suspend};
pub use supervisor::{
    Adopt, Connect, Progress, Remaining, Roll, Stage, Stop, StopPlan, Subscribe, Subscription, Supervisor,
};
#[cfg(feature = "systemd")]
pub use system::sockets_from_systemd;
pub use system::{Run, run};
pub use ticket::{Books, Refusal, RollEntry, WaitingFor};
pub use tls::{ClientTls, ServerTls, Socket};
