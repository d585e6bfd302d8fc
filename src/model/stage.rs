//! The real actors, with what surrounds them: pipes, peers, and a listener without a socket.

use std::{
    future::poll_fn,
    sync::{Arc, LazyLock, Mutex, atomic::Ordering::SeqCst},
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use actix::{Actor, ActorContext, Addr, Context, Handler, dev::Request};
use bytes::BytesMut;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::{
    Cast,
    child::Task,
    happens::Happens,
    player::{Cut, Explode, Player, Script, Wire},
    state::{Act, Ask, State},
};
use crate::{
    Adopt, ClientTls, Close, Connection, Evict, HalfClose, Lost, Options, Peer, Phase, Role, ServerTls, Socket,
    StartTls, Stop, StopPlan, Supervisor,
    connection::{Secure, Start},
    fate::ConnectionId,
    supervisor::{Admit, EndListening, Newcomer},
    ticket::{Books, News},
    tls::{ReadEvent, TlsStream},
};

static TLS: LazyLock<(ClientTls, ServerTls)> = LazyLock::new(|| {
    let signed = crate::tls::self_signed(&["localhost"]).unwrap();
    let client = ClientTls::builder().trust_pem(&signed.ca_pem).build().unwrap();
    (client, ServerTls::builder().identity_pem(&signed.certificate_pem, &signed.key_pem).build().unwrap())
});

/// What is not TLS.
const NO: &[u8] = b"HTTP/1.1 400 No\r\n\r\n";

/// Smaller than an answer, so that a peer which does not read is owed something.
const PIPE: usize = 16 * 1024;

/// A listener without a socket.
struct Ear(Books, u64);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<EndListening> for Ear {
    type Result = ();

    fn handle(&mut self, _: EndListening, context: &mut Self::Context) {
        self.0.tell(News::ListenerEnded(self.1));
        context.terminate();
    }
}

/// One connection with everything that surrounds it.
pub(super) struct Part {
    accepted: bool,
    script: Arc<Mutex<Script>>,
    cut: Arc<Cut>,
    raw: Option<DuplexStream>,
    peer: Option<TlsStream>,
    asked: Option<Request<Supervisor, Adopt<Player>>>,
    starting: Option<Request<Connection<Player>, StartTls>>,
}

pub(super) struct Stage {
    supervisor: Addr<Supervisor>,
    books: Books,
    pub(super) parts: Vec<Part>,
    pub(super) stops: Vec<Request<Supervisor, Stop>>,
    plan: (u8, u8, u8),
}

/// Until everybody has done what there is to do. It never waits, so the clock stands still.
async fn settle() {
    for _ in 0..40 {
        tokio::task::yield_now().await;
    }
}

impl Stage {
    pub(super) fn new(cast: &Cast) -> Self {
        let mut supervisor = Supervisor::new();
        let books = supervisor.books();
        if cast.left.accepts > 0 {
            supervisor.take_listener(|number| Ear(books.clone(), number).start());
        }
        Stage { supervisor: supervisor.start(), books, parts: Vec::new(), stops: Vec::new(), plan: cast.plan }
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Stop(plan) => {
                let plan = if self.stops.is_empty() { Some(self.plan) } else { plan };
                let seconds = |n: u8| Duration::from_secs(n.into());
                let by = |(a, b, c)| StopPlan { lame_duck: seconds(a), drain: seconds(b), linger: seconds(c) };
                self.stops.push(self.supervisor.send(plan.map(by).map_or_else(Stop::new, Stop::by)));
            }
            Ask::Evict(n) => self.supervisor.do_send(Evict::close(ConnectionId(u64::from(n) + 1))),
            Ask::Connect | Ask::Admit => {
                let (ours, theirs) = tokio::io::duplex(PIPE);
                let (cut, script) = (Arc::<Cut>::default(), Arc::<Mutex<Script>>::default());
                let socket = Socket::boxed(Wire(ours, cut.clone()));
                let protocol = Player(script.clone());
                let options = Options { linger: Duration::from_secs(1000), ..Options::default() };
                let mut part = Part {
                    accepted: ask == Ask::Admit,
                    script,
                    cut,
                    raw: Some(theirs),
                    peer: None,
                    asked: None,
                    starting: None,
                };
                if part.accepted {
                    self.supervisor.do_send(Admit(Newcomer {
                        role: Role::Server,
                        accepted: true,
                        peer: Peer::named("peer"),
                        protocol,
                        start: Start::Socket { socket, secure: Secure::Server { tls: TLS.1.clone() } },
                        options,
                        reply: None,
                        permit: None,
                        seat: None,
                        promise: None,
                    }));
                } else {
                    let adopt = Adopt::client(socket, "localhost", &TLS.0, protocol).options(options);
                    part.asked = Some(self.supervisor.send(adopt));
                }
                self.parts.push(part);
            }
        }
    }

    pub(super) async fn play(&mut self, act: Act) {
        match act {
            Act::Send(ask) => self.ask(ask),
            // A little more than a second, as tokio's timers are a millisecond coarse.
            Act::Tick => tokio::time::advance(Duration::from_millis(1002)).await,
            Act::Child(n, what) => self.befall(usize::from(n), what).await,
            _ => {}
        }
        settle().await;
    }

    async fn befall(&mut self, n: usize, what: Happens) {
        let entry = self.books.find(ConnectionId(n as u64 + 1));
        let part = &mut self.parts[n];
        let handle = part.script.lock().unwrap().handle.clone();
        match what {
            Happens::Secured => part.secure().await,
            Happens::HandshakeFails => match &mut part.raw {
                Some(raw) => raw.write_all(NO).await.unwrap(),
                None => part.peer(|peer, cx| peer.poll_write(cx, NO).map(drop)).await,
            },
            Happens::Data => part.peer(|peer, cx| peer.poll_write(cx, b"?").map(drop)).await,
            Happens::PeerReads => part.read().await,
            Happens::PeerCloses => part.peer(|peer, cx| peer.poll_close_notify(cx).map(drop)).await,
            Happens::PeerFin => part.peer(|peer, cx| peer.poll_fin(cx)).await,
            Happens::Reset => {
                part.cut.is_cut.store(true, SeqCst);
                part.cut.waker.wake();
            }
            Happens::AppCloses => handle.unwrap().do_send(Close::new()),
            Happens::AppSecures => {
                let start = match part.accepted {
                    true => StartTls::server(&TLS.1),
                    false => StartTls::client("localhost", &TLS.0),
                };
                part.starting = Some(handle.unwrap().address().send(start));
            }
            Happens::AppHalfCloses => handle.unwrap().do_send(HalfClose),
            Happens::AppAborts => handle.unwrap().do_send(crate::Abort),
            Happens::Panics => handle.unwrap().do_send(Explode),
            Happens::GivenUp => {
                part.asked = None;
                part.starting = None;
            }
            Happens::OwnerDies => {
                entry.unwrap().set_owner(part.cut.clone());
                part.cut.owner_gone.store(true, SeqCst);
            }
            other => panic!("{other:?} cannot be played"),
        }
    }

    /// The real ones are where the model is.
    pub(super) fn assert_agrees(&self, state: &State, acts: &[Act]) {
        assert_eq!(self.books.outstanding(), state.register.outstanding(), "outstanding, after {acts:?}");
        for (part, child) in self.parts.iter().zip(&state.children) {
            let (script, seen) = (part.script.lock().unwrap(), &child.seen);
            let phase = self.books.find(child.id).map_or(Phase::Lost, |entry| entry.phase());
            let expected = if child.task == Task::Gone { Phase::Lost } else { child.life.phase };
            let real = (phase, script.connected, script.ends_of_stream, script.lost.len() as u8, script.after_lost);
            let model = (expected, seen.connected, seen.ends_of_stream, seen.lost, false);
            assert_eq!(real, model, "{}, after {acts:?}", child.id);
            assert_eq!(script.lost.first().map(told), child.lost.as_ref().map(told), "{}, after {acts:?}", child.id);
        }
    }
}

/// What of an end is the same in the model.
pub(super) fn told(lost: &Lost) -> (&'static str, Phase, crate::CloseProof, bool) {
    (lost.reason.code(), lost.phase, lost.proof, lost.bytes_unsent > 0)
}

impl Part {
    /// Its peer's turn, which is over at once.
    async fn peer(&mut self, mut act: impl FnMut(&mut TlsStream, &mut TaskContext<'_>) -> Poll<()>) {
        let peer = self.peer.as_mut().unwrap();
        let polled = act(peer, &mut TaskContext::from_waker(Waker::noop()));
        assert!(polled.is_ready());
        let _ = peer.poll_flush(&mut TaskContext::from_waker(Waker::noop()));
    }

    async fn secure(&mut self) {
        let socket = match self.raw.take() {
            Some(raw) => Socket::boxed(raw),
            // TLS inside of the TLS that there is.
            None => self.peer.take().unwrap().into(),
        };
        let mut peer = match self.accepted {
            true => TlsStream::client(&TLS.0, "localhost", 0, None, socket).unwrap(),
            false => TlsStream::server(&TLS.1, socket).unwrap(),
        };
        poll_fn(|cx| peer.poll_handshake(cx)).await.unwrap();
        self.peer = Some(peer);
    }

    /// Everything that is there to be read, until nothing more comes.
    async fn read(&mut self) {
        let mut buffer = BytesMut::new();
        let mut quiet = 0;
        while quiet < 5 {
            buffer.clear();
            buffer.reserve(PIPE);
            let peer = self.peer.as_mut().unwrap();
            match peer.poll_read(&mut TaskContext::from_waker(Waker::noop()), &mut buffer) {
                Poll::Ready(Ok(ReadEvent::Data(_))) => quiet = 0,
                Poll::Ready(_) => return,
                Poll::Pending => {
                    quiet += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
