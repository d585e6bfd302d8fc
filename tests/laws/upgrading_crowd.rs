//! Law 9: a stop while a crowd of connections is on its way from plain to TLS and back, in every state that one can be in.

use std::sync::OnceLock;

use actix::Addr;
use exeunt::{
    Adopt, AnyHandle, Call, ClientTls, Handle, Lines, Protocol, Role, ServerTls, StartTls, StopPlan, StopTls,
    Supervisor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
};

use crate::{
    roll_call::{expected, roll_call},
    stage::*,
    upgrading::{ROLES, read, shake, start},
};

/// More than a pipe and a socket's buffer hold.
const MESSAGE: usize = 4 * PIPE;

/// How long a peer takes and says nothing, once the stop has begun.
const WHILE: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not been upgraded, and is idle.
    Plain,
    /// The same, with half of a message on its way.
    PlainInMessage,
    /// TLS was asked for and has not begun, because the peer does not take what goes before.
    Asked,
    /// The peer does not answer the handshake.
    InHandshake,
    /// It has been upgraded, and is idle.
    Secure,
    /// The same, and a call is not answered yet.
    SecureInUse,
    /// The same, with half of a message on its way.
    SecureInMessage,
    /// TLS is being ended, and the peer has not answered.
    Unwrapping,
}

const STATES: [State; 8] = [
    State::Plain,
    State::PlainInMessage,
    State::Asked,
    State::InHandshake,
    State::Secure,
    State::SecureInUse,
    State::SecureInMessage,
    State::Unwrapping,
];

/// Of each state, half of them as a client and half as a server.
const EACH: usize = 20;

/// As many are in the handshake.
const HANDSHAKING: usize = 100;

/// Law 9: a row for each with its phase and its reason. Law 4: what was in the middle is delivered. Laws 1 and 6: a handshake is given up at once, and whoever asked for it is told.
#[actix::test]
async fn a_stop_with_a_hundred_in_the_handshake_of_an_upgrade_has_a_row_for_each() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let mut lives = Vec::new();
    let of = |state: &State| if *state == State::InHandshake { HANDSHAKING } else { EACH };
    let states: Vec<State> = STATES.iter().flat_map(|state| vec![*state; of(state)]).collect();
    for (n, state) in states.iter().enumerate() {
        lives.push(live(&supervisor, ROLES[n % 2], *state).await);
    }
    let plan = StopPlan::new().drain(SECOND * 20).linger(SECOND * 20);
    let ledger = exeunt_by(supervisor, books, plan).await;
    assert_eq!(
        roll_call(&ledger),
        expected([
            ("open: closed", 5 * EACH),
            // What was to go before TLS has gone, and TLS was not there yet.
            ("open: cancelled", EACH),
            ("handshaking: cancelled", HANDSHAKING),
            ("lingering: closed", EACH),
        ]),
        "{ledger}"
    );
    assert_eq!(ledger.totals.connected, states.len() as u64, "Connected once, upgraded or not");
    for (row, state) in ledger.rows.iter().zip(states) {
        // Nothing waited for the end of TLS, so it is the end of the connection.
        let plain = matches!(state, State::Plain | State::PlainInMessage | State::Asked);
        assert_eq!((row.lost.secure, row.lost.bytes_unsent), (!plain, 0), "{state:?}: {}", row.lost);
    }
    assert!(ledger.elapsed > WHILE - SECOND, "it waited for what was in the middle: {:?}", ledger.elapsed);
    for (connection, peer) in lives {
        drop(connection);
        peer.await.unwrap();
    }
}

/// A connection in this state, and what its peer does in the stop.
async fn live(supervisor: &Addr<Supervisor>, role: Role, state: State) -> (AnyHandle, JoinHandle<()>) {
    if state == State::SecureInUse {
        let (connection, pipe) = open(supervisor, role, Lines::default()).await;
        let (secured, mut peer) = tokio::join!(connection.start_tls(start(role)), shake(role, pipe));
        secured.unwrap();
        let call = connection.send(Call::new("ping"));
        return (
            connection.into(),
            actix_rt::spawn(async move {
                assert_eq!(peer.read_exactly(5).await, b"ping\n");
                tokio::time::sleep(WHILE).await;
                peer.write(b"pong\n").await;
                assert_eq!(call.await.unwrap().unwrap(), "pong", "a drain finishes what is under way");
                leave(peer, 0).await;
            }),
        );
    }
    let (connection, mut pipe) = open(supervisor, role, Sink).await;
    let peer = match state {
        State::Plain => actix_rt::spawn(leave_plain(pipe, 0)),
        State::PlainInMessage => {
            connection.write(vec![1; MESSAGE]).await.unwrap();
            actix_rt::spawn(async move {
                tokio::time::sleep(WHILE).await;
                leave_plain(pipe, MESSAGE).await;
            })
        }
        State::Asked => {
            connection.write(vec![1; MESSAGE]).await.unwrap();
            let asked = connection.send(start(role));
            actix_rt::spawn(async move {
                tokio::time::sleep(WHILE).await;
                leave_plain(pipe, MESSAGE).await;
                asked.await.unwrap().unwrap_err();
            })
        }
        State::InHandshake => {
            let asked = connection.send(start(role));
            actix_rt::spawn(async move {
                asked.await.unwrap().unwrap_err();
                // What it has said of the handshake is nobody's.
                pipe.read_to_end(&mut Vec::new()).await.unwrap();
            })
        }
        _ => {
            let (secured, peer) = tokio::join!(connection.start_tls(exact(role)), shake(role, pipe));
            secured.unwrap();
            match state {
                State::Secure => actix_rt::spawn(leave(peer, 0)),
                State::SecureInMessage => {
                    connection.write(vec![1; MESSAGE]).await.unwrap();
                    actix_rt::spawn(async move {
                        tokio::time::sleep(WHILE).await;
                        leave(peer, MESSAGE).await;
                    })
                }
                _ => {
                    connection.do_send(StopTls);
                    actix_rt::spawn(async move {
                        tokio::time::sleep(WHILE).await;
                        leave(peer, 0).await;
                    })
                }
            }
        }
    };
    (connection.into(), peer)
}

async fn open<P: Protocol>(supervisor: &Addr<Supervisor>, role: Role, protocol: P) -> (Handle<P>, DuplexStream) {
    let (ours, theirs) = pipe(PIPE);
    let adopt = Adopt::plain(ours, "peer", role, protocol).write_marks(2 * MESSAGE, 0).linger(SECOND * 20);
    (supervisor.send(adopt).await.unwrap().unwrap(), theirs)
}

/// TLS that can be ended again.
fn exact(role: Role) -> StartTls {
    static TLS: OnceLock<(ClientTls, ServerTls)> = OnceLock::new();
    let (client, server) = TLS.get_or_init(|| {
        let client = ClientTls::builder().trust_pem(&signed().ca_pem).read_ahead(false);
        let server = ServerTls::builder().identity_pem(&signed().certificate_pem, &signed().key_pem).read_ahead(false);
        (client.build().unwrap(), server.build().unwrap())
    });
    match role {
        Role::Client => StartTls::client("localhost", client),
        Role::Server => StartTls::server(server),
    }
}

/// Takes so many bytes and then the end, and ends as well.
async fn leave_plain(mut pipe: DuplexStream, message: usize) {
    assert_eq!(read(&mut pipe, message).await.len(), message);
    assert_eq!(pipe.read(&mut [0; 16]).await.unwrap(), 0, "a FIN and nothing before it");
    let _ = pipe.shutdown().await;
}

async fn leave(mut peer: RawPeer, message: usize) {
    assert_eq!(peer.read_to_close_notify().await.unwrap().len(), message);
    peer.close().await;
}
