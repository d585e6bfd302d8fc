//! WebSockets: of both sides, against a peer that says what it is told, frame for frame, and against peers that we did not write.

mod actors;
mod closing;
mod crowd;
mod handshakes;
mod messages;
mod peers;

use actix::{Actor, Addr};
use exeunt::{
    Adopt, Books, Ledger, Role, Socket, Stop, StopPlan, Streamed, Supervisor, Verdict,
    http::websocket::{CloseCode, WebSocket, WebSocketOptions},
};

use crate::stage::{Client, Over, PIPE, SECOND, assert_adds_up, server_tls};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A WebSocket of ours, the handshake behind it, and its peer.
struct Play {
    supervisor: Addr<Supervisor>,
    books: Books,
    socket: WebSocket,
    peer: Peer,
}

impl Play {
    async fn open(over: Over, role: Role) -> Self {
        Play::with(over, role, WebSocketOptions::new()).await
    }

    async fn with(over: Over, role: Role, options: WebSocketOptions) -> Self {
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        let supervisor = supervisor.start();
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let ours = Socket::boxed(ours);
        let streamed = Streamed::new();
        let (stream, client) = match (over, role) {
            (Over::Plain, role) => {
                (Adopt::plain(ours, "localhost", role, streamed).open(&supervisor).await, Client::new(theirs))
            }
            (Over::Tls, Role::Client) => {
                let adopt = Adopt::client(ours, "localhost", &crate::peer::client_tls(), streamed);
                tokio::join!(adopt.open(&supervisor), Client::accepted(theirs))
            }
            (Over::Tls, _) => {
                let adopt = Adopt::server(ours, "localhost", &server_tls(), streamed);
                tokio::join!(adopt.open(&supervisor), Client::secured(theirs))
            }
        };
        let socket = match role {
            Role::Client => WebSocket::client(stream.unwrap(), options),
            _ => WebSocket::server(stream.unwrap(), options),
        };
        Play { supervisor, books, socket, peer: Peer { client, masks: role == Role::Server } }
    }

    /// The last scene: nothing remains, and the one end was one that is expected.
    async fn end(self) -> std::sync::Arc<Ledger> {
        let Play { supervisor, books, socket, peer } = self;
        drop((socket, peer));
        end(supervisor, books).await
    }
}

async fn end(supervisor: Addr<Supervisor>, books: Books) -> std::sync::Arc<Ledger> {
    let ledger = stop(&supervisor).await;
    assert_adds_up(&ledger, &books);
    assert_eq!((ledger.totals.lost, ledger.verdict()), (1, Verdict::Clean), "{ledger}");
    ledger
}

/// A stop with twenty seconds of drain and one of linger.
async fn stop(supervisor: &Addr<Supervisor>) -> std::sync::Arc<Ledger> {
    supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 20).linger(SECOND))).await.unwrap()
}

/// What is at the other end.
struct Peer {
    client: Client,
    masks: bool,
}

impl Peer {
    async fn say(&mut self, opcode: u8, payload: impl AsRef<[u8]>) {
        self.say_frame(0x80 | opcode, payload).await;
    }

    /// A frame with this first byte.
    async fn say_frame(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let bytes = self.frame(first, payload);
        self.client.say(bytes).await;
    }

    fn frame(&self, first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
        let payload = payload.as_ref();
        let mask = if self.masks { 0x80 } else { 0 };
        let mut frame = match payload.len() {
            short @ 0..126 => vec![first, mask | short as u8],
            long @ 126..65536 => [&[first, mask | 126], &(long as u16).to_be_bytes()[..]].concat(),
            long => [&[first, mask | 127], &(long as u64).to_be_bytes()[..]].concat(),
        };
        if self.masks {
            let key = [0x55, 0xaa, 0x0f, 0xf0];
            frame.extend(key);
            frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            frame.extend(payload);
        }
        frame
    }

    async fn say_close(&mut self, code: u16, reason: &str) {
        self.say(CLOSE, [&code.to_be_bytes()[..], reason.as_bytes()].concat()).await;
    }

    /// The next frame: opcode and payload. All of ours are whole messages, masked if they are a client's.
    async fn hear(&mut self) -> (u8, Vec<u8>) {
        let head = self.client.take(2).await;
        assert_eq!(head[0] & 0xf0, 0x80, "one frame a message, no extension");
        assert_eq!(head[1] & 0x80 == 0, self.masks, "clients mask, servers do not");
        let length = match head[1] & 0x7f {
            126 => self.client.take(2).await.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            127 => self.client.take(8).await.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        let key = if self.masks { vec![0; 4] } else { self.client.take(4).await };
        let payload = self.client.take(length).await;
        (head[0] & 0x0f, payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect())
    }

    /// The close frame, which is the next.
    async fn hear_close(&mut self) -> (CloseCode, String) {
        let (opcode, payload) = self.hear().await;
        assert_eq!(opcode, CLOSE);
        match &payload[..] {
            [] => (CloseCode::NO_STATUS, String::new()),
            [high, low, reason @ ..] => {
                (CloseCode::new(u16::from_be_bytes([*high, *low])), String::from_utf8(reason.to_vec()).unwrap())
            }
            _ => panic!("half a code"),
        }
    }

    /// Ends the connection as it should, and sees that nothing more has come.
    async fn leave(&mut self) {
        self.client.close().await;
        assert_eq!(self.client.until_end().await.unwrap(), b"");
    }
}
