//! Our side of the play: a supervisor, an owner that witnesses, and what must have remained at the end, which is nothing.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use actix::prelude::*;
use bytes::Bytes;
use exeunt::{
    Books, ClientTls, Close, CloseProof, Connect, Connected, ConnectionId, Data, Draining, Eof, Events, Handle, Listen,
    Lost, Options, Owner, Reason, ServerTls, Stop, Supervisor, tls::ClientTlsBuilder, tls::ServerTlsBuilder,
};
use tokio::sync::{mpsc, oneshot};

use super::{files::Files, soon};

/// What the library says: AWS-LC has OpenSSL's words in capitals.
pub fn in_its_words(words: &str) -> String {
    if cfg!(feature = "aws-lc") { words.to_uppercase().replace(' ', "_") } else { words.to_owned() }
}

/// What the owner was sent.
#[derive(Debug)]
pub enum Saw {
    Connected(Handle<Events>),
    Data(Bytes),
    Eof { clean: bool },
    Lost(Box<Lost>),
}

/// Which close_notify there was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Notify {
    Both,
    Ours,
    Neither,
}

pub struct Stage {
    pub files: Files,
    pub client: ClientTls,
    pub server: ServerTls,
    pub options: Options,
    supervisor: Addr<Supervisor>,
    books: Books,
    owner: Owner,
    witness: Addr<Witness>,
    saw: mpsc::UnboundedReceiver<Saw>,
    /// Application bytes in and out of the connection that is alive.
    received: u64,
    sent: u64,
    /// So many were told to be connected, and not yet lost.
    alive: usize,
    ends: Vec<Lost>,
}

impl Stage {
    pub fn new() -> Stage {
        let (tell, saw) = mpsc::unbounded_channel();
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        let files = Files::new();
        let witness = Witness { tell, alive: HashMap::new() }.start();
        Stage {
            client: Stage::client_tls(&files).build().unwrap(),
            server: Stage::server_tls(&files).build().unwrap(),
            files,
            options: Options::default(),
            supervisor: supervisor.start(),
            books,
            owner: Owner::new(witness.clone()),
            witness,
            saw,
            received: 0,
            sent: 0,
            alive: 0,
            ends: Vec::new(),
        }
    }

    pub fn client_tls(files: &Files) -> ClientTlsBuilder {
        ClientTls::builder().trust_file(files.ca())
    }

    pub fn server_tls(files: &Files) -> ServerTlsBuilder {
        ServerTls::builder().identity_files(files.certificate(), files.key())
    }

    /// Asks for a connection, whose owner is told what becomes of it.
    pub fn connect(&self, address: SocketAddr) {
        let connect = Connect::to(address.to_string(), Events::new(&self.owner));
        self.supervisor.do_send(connect.server_name("localhost").tls(&self.client).options(self.options.clone()));
    }

    pub async fn listen(&self) -> SocketAddr {
        let owner = self.owner.clone();
        let listen = Listen::on(([127, 0, 0, 1], 0).into(), &self.server, move |_| Events::new(&owner));
        self.supervisor.send(listen.options(self.options.clone())).await.unwrap().unwrap().address()
    }

    pub async fn next(&mut self) -> Saw {
        soon(self.saw.recv()).await.expect("nothing happens on our side").expect("the owner lives")
    }

    pub async fn connected(&mut self) -> Handle<Events> {
        (self.received, self.sent) = (0, 0);
        match self.next().await {
            Saw::Connected(connection) => {
                self.alive += 1;
                connection
            }
            saw => panic!("{saw:?} where Connected was expected"),
        }
    }

    pub async fn send(&mut self, connection: &Handle<Events>, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.sent += bytes.len() as u64;
        connection.write(bytes).await.unwrap();
    }

    /// Keeps the owner from its mailbox until what this answers with is dropped.
    pub async fn occupy_owner(&self) -> oneshot::Sender<()> {
        let (release, released) = oneshot::channel();
        self.witness.send(Occupy(released)).await.unwrap();
        release
    }

    /// As [`receive`](Stage::receive), where more connections than one are alive, which are not counted together.
    pub async fn receive_from_any(&mut self, count: usize) {
        self.receive(count).await;
        self.received = 0;
    }

    /// Exactly so many bytes.
    pub async fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.next().await {
                Saw::Data(bytes) => all.extend_from_slice(&bytes),
                saw => panic!("{saw:?} after {} of {count} bytes", all.len()),
            }
        }
        assert_eq!(all.len(), count);
        self.received += count as u64;
        all
    }

    /// However many bytes there are before the end of the stream.
    pub async fn receive_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Saw::Data(bytes) => all.extend_from_slice(&bytes),
                Saw::Eof { clean: true } => break,
                saw => panic!("{saw:?} after {} bytes", all.len()),
            }
        }
        self.received += all.len() as u64;
        all
    }

    /// The end, and the end of stream that must come before it (law 2). Every byte is accounted for: the peers of these plays take what they are sent.
    pub async fn ends(&mut self, reason: Reason, notify: Notify, fin_seen: bool) -> Lost {
        match reason {
            Reason::ClosedByPeer => assert!(matches!(self.next().await, Saw::Eof { clean: true })),
            Reason::Truncated => assert!(matches!(self.next().await, Saw::Eof { clean: false })),
            _ => {}
        }
        self.ends_after_eof(reason, notify, fin_seen).await
    }

    /// As [`ends`](Stage::ends), where the end of stream was told already.
    pub async fn ends_after_eof(&mut self, reason: Reason, notify: Notify, fin_seen: bool) -> Lost {
        let lost = self.lost().await;
        let proof = CloseProof {
            close_notify_sent: notify != Notify::Neither,
            close_notify_received: notify == Notify::Both,
            fin_seen,
        };
        assert_eq!((&lost.reason, lost.proof), (&reason, proof), "{lost}");
        assert_eq!((lost.bytes_in, lost.bytes_out, lost.bytes_unsent), (self.received, self.sent, 0), "{lost}");
        lost
    }

    /// The end, whatever it is. Law 3: the socket is closed by then.
    pub async fn lost(&mut self) -> Lost {
        let lost = match self.next().await {
            Saw::Lost(lost) => *lost,
            saw => panic!("{saw:?} where Lost was expected"),
        };
        self.alive = self.alive.saturating_sub(1);
        if let Some(address) = lost.peer.address {
            assert!(sockets_to(address) <= self.alive, "a socket to {address} outlives its Lost");
        }
        self.ends.push(lost.clone());
        lost
    }

    /// Laws 1 and 9: one `Lost` a connection, and totals that say the same. Whatever was alive has a row.
    pub async fn stop(mut self, alive: usize) -> Vec<exeunt::Row> {
        let ledger = soon(self.supervisor.send(Stop::new())).await.expect("the stop is not acknowledged").unwrap();
        assert_eq!(self.books.outstanding(), 0);
        assert_eq!(ledger.rows.len(), alive, "{ledger}");
        for row in &ledger.rows {
            assert_eq!(self.lost().await, row.lost, "the owner is told what the ledger says");
        }
        assert!(self.saw.try_recv().is_err(), "nothing is told after the last Lost");
        let mut by_reason = BTreeMap::new();
        for lost in &self.ends {
            *by_reason.entry(lost.reason.code()).or_insert(0) += 1;
        }
        let totals = &ledger.totals;
        assert_eq!(
            (&totals.by_reason, totals.admitted, totals.lost),
            (&by_reason, totals.lost, self.ends.len() as u64)
        );
        ledger.rows.clone()
    }

    pub async fn nothing_remains(self) {
        self.stop(0).await;
    }
}

/// The owner: tells the test everything, and closes when it is asked to drain.
struct Witness {
    tell: mpsc::UnboundedSender<Saw>,
    alive: HashMap<ConnectionId, Handle<Events>>,
}

impl Witness {
    fn tell(&self, saw: Saw) {
        let _ = self.tell.send(saw);
    }
}

impl Actor for Witness {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Occupy(oneshot::Receiver<()>);

impl Handler<Occupy> for Witness {
    type Result = ();
    fn handle(&mut self, Occupy(released): Occupy, context: &mut Self::Context) {
        context.wait(actix::fut::wrap_future(async move { drop(released.await) }));
    }
}

impl Handler<Connected> for Witness {
    type Result = ();
    fn handle(&mut self, connected: Connected, _: &mut Self::Context) {
        self.alive.insert(connected.id, connected.connection.clone());
        self.tell(Saw::Connected(connected.connection));
    }
}

impl Handler<Data> for Witness {
    type Result = ();
    fn handle(&mut self, data: Data, _: &mut Self::Context) {
        self.tell(Saw::Data(data.bytes));
    }
}

impl Handler<Eof> for Witness {
    type Result = ();
    fn handle(&mut self, eof: Eof, _: &mut Self::Context) {
        self.tell(Saw::Eof { clean: eof.clean });
    }
}

impl Handler<Draining> for Witness {
    type Result = ();
    fn handle(&mut self, draining: Draining, _: &mut Self::Context) {
        self.alive[&draining.id].do_send(Close::new());
    }
}

impl Handler<Lost> for Witness {
    type Result = ();
    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        self.alive.remove(&lost.id);
        self.tell(Saw::Lost(Box::new(lost)));
    }
}

/// How many sockets this process has open whose other end is `address`. Linux tells; elsewhere nobody is asked.
fn sockets_to(address: SocketAddr) -> usize {
    let (SocketAddr::V4(address), Ok(table)) = (address, std::fs::read_to_string("/proc/net/tcp")) else { return 0 };
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let inodes: Vec<_> =
        rows.filter(|row| row.get(2) == Some(&&*remote)).map(|row| format!("socket:[{}]", row[9])).collect();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok());
    links.filter(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str())).count()
}
