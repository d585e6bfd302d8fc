//! Any messages in any order to connections with any peers, on a clock that goes on as the input says. Whatever is sent: one `Lost` each, bytes that add up, answers to everything, and a stop in time.
#![no_main]

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use arbitrary::Arbitrary;
use bytes::Bytes;
use exeunt::{
    Abort, Adopt, Close, Evict, Flush, HalfClose, Handle, LateData, Lost, PauseReading, Reason, ResumeReading, Roll,
    Socket, Stop, StopPlan, Write, WriteError,
};
use exeunt_fuzz::stage::*;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    players: [Option<Player>; 2],
    acts: Vec<(bool, Act)>,
    plan: (u8, u8, u8),
}

#[derive(Arbitrary, Debug)]
struct Player {
    side: Side,
    version: Version,
    manner: Manner,
    deliver_late: bool,
    idle: bool,
    /// The write marks and the depth of the pipe, small so that they are met.
    high: u8,
    low: u8,
    depth: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Act {
    /// A write that is awaited.
    Write(u16),
    /// A write that nobody awaits.
    Tell(u16),
    /// A write that is taken back, perhaps.
    TakeBack(u16),
    Flush,
    Close,
    CloseSoon(u8),
    Abort,
    HalfClose,
    Pause,
    Resume,
    EvictClose,
    EvictAbort,
    Roll,
    DropHandle,
    /// A stop, of so many tenths of a second each.
    Stop(u8, u8, u8),
    StopNow,
    /// Milliseconds, or seconds.
    Wait(u8),
    WaitLong(u8),
    PeerWrites(u16),
    PeerReads,
    PeerReadsAll,
    PeerCloses,
    PeerFin,
    PeerGone,
}

/// A server's handshake is done when its session tickets are written (509 bytes here), and the peer does not read by itself.
const TICKETS: usize = 1024;

type Writing = Pin<Box<dyn Future<Output = Result<(), WriteError>>>>;

type Ending = Pin<Box<dyn Future<Output = Result<Lost, exeunt::Ended>>>>;

struct Actor {
    handle: Option<Handle<Witness>>,
    id: exeunt::ConnectionId,
    seen: Arc<Mutex<Seen>>,
    peer: Option<RawPeer>,
    manner: Manner,
    writes: Vec<(u64, Writing)>,
    flushes: Vec<Writing>,
    ends: Vec<Ending>,
    /// What was sent and not awaited: it may have been accepted or not.
    told: u64,
    said: Vec<u8>,
    heard: u64,
    heard_end: bool,
    doubt: bool,
    peer_ended: bool,
}

fuzz_target!(|input: Input| play(scene(input)));

async fn scene(input: Input) {
    let (supervisor, books) = supervise();
    let mut actors = Vec::new();
    for player in input.players.into_iter().flatten() {
        let (ours, theirs) = tokio::io::duplex(TICKETS + usize::from(player.depth) * 64);
        let (witness, seen) = Witness::new(player.manner);
        let mut adopt = match player.side {
            Side::Client => Adopt::client(Socket::boxed(ours), "localhost", client_tls(), witness),
            Side::Server => Adopt::server(Socket::boxed(ours), "pipe", server_tls(), witness),
        }
        .write_marks(usize::from(player.high) * 64, usize::from(player.low) * 64);
        if player.deliver_late {
            adopt = adopt.late_data(LateData::Deliver);
        }
        if player.idle {
            adopt = adopt.idle_timeout(SECOND * 20);
        }
        let mut peer = RawPeer::new(player.side, player.version, theirs);
        let (handle, ()) = tokio::join!(supervisor.send(adopt), peer.shake_hands());
        let handle = handle.unwrap().unwrap();
        actors.push(Actor {
            id: handle.id(),
            handle: Some(handle),
            seen,
            peer: Some(peer),
            manner: player.manner,
            writes: Vec::new(),
            flushes: Vec::new(),
            ends: Vec::new(),
            told: 0,
            said: Vec::new(),
            heard: 0,
            heard_end: false,
            doubt: false,
            peer_ended: false,
        });
    }
    let mut stops: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for (who, act) in input.acts.into_iter().take(64) {
        match act {
            Act::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
            Act::WaitLong(s) => tokio::time::sleep(Duration::from_secs((s % 64).into())).await,
            Act::Stop(duck, drain, linger) => {
                stops.push(Box::pin(supervisor.send(Stop::by(plan((duck, drain, linger))))));
            }
            Act::StopNow => stops.push(Box::pin(supervisor.send(Stop::now()))),
            Act::Roll => {
                let roll = supervisor.send(Roll).await.unwrap();
                assert!(roll.len() <= actors.len());
            }
            act => {
                let Some(actor) = actors.get_mut(usize::from(who)) else { continue };
                actor.acts(act, &supervisor).await;
            }
        }
    }
    for actor in &mut actors {
        actor.handle = None;
    }
    let ledger = exeunt_by(supervisor, books, plan(input.plan)).await;
    assert_eq!((ledger.totals.admitted, ledger.totals.connected), (actors.len() as u64, actors.len() as u64));
    for stop in stops {
        let same = stop.await.unwrap();
        assert!(Arc::ptr_eq(&same, &ledger), "every stop gets the same ledger");
    }
    for actor in actors {
        let row = ledger.rows.iter().find(|row| row.lost.id == actor.id).map(|row| row.lost.clone());
        actor.leaves(row).await;
    }
}

fn plan((duck, drain, linger): (u8, u8, u8)) -> StopPlan {
    let tenths = |n: u8| Duration::from_millis(u64::from(n) * 100);
    StopPlan::new().lame_duck(tenths(duck)).drain(tenths(drain)).linger(tenths(linger))
}

impl Actor {
    async fn acts(&mut self, act: Act, supervisor: &actix::Addr<exeunt::Supervisor>) {
        if let Some(handle) = &self.handle {
            match act {
                Act::Write(n) => {
                    // The mailbox has it now; the answer is awaited at the end.
                    let sent = handle.send(Write(Bytes::from(vec![b'w'; n.into()])));
                    self.writes.push((
                        n.into(),
                        Box::pin(async {
                            sent.await.unwrap_or_else(|ended| Err(WriteError::Lost(ended.lost.unwrap())))
                        }),
                    ));
                }
                Act::Tell(n) => {
                    handle.do_send(Write(Bytes::from(vec![b't'; n.into()])));
                    self.told += u64::from(n);
                }
                Act::TakeBack(n) => {
                    let sent = handle.send(Write(Bytes::from(vec![b'b'; n.into()])));
                    self.told += u64::from(n);
                    if n % 2 == 0 {
                        tokio::task::yield_now().await;
                    }
                    drop(sent);
                }
                Act::Flush => {
                    let sent = handle.send(Flush);
                    self.flushes.push(Box::pin(async {
                        sent.await.unwrap_or_else(|ended| Err(WriteError::Lost(ended.lost.unwrap())))
                    }));
                }
                Act::Close => self.ends.push(Box::pin(handle.send(Close::new()))),
                Act::CloseSoon(ms) => {
                    let close = Close::new().linger(Duration::from_millis(ms.into()));
                    self.ends.push(Box::pin(handle.send(close.late_data(LateData::Discard))));
                }
                Act::Abort => self.ends.push(Box::pin(handle.send(Abort))),
                Act::HalfClose => handle.do_send(HalfClose),
                Act::Pause => handle.do_send(PauseReading),
                Act::Resume => handle.do_send(ResumeReading),
                Act::DropHandle => self.handle = None,
                _ => {}
            }
        }
        match act {
            Act::EvictClose => drop(supervisor.send(Evict::close(self.id)).await.unwrap()),
            Act::EvictAbort => drop(supervisor.send(Evict::abort(self.id)).await.unwrap()),
            Act::PeerGone => self.peer = None,
            _ => {}
        }
        let Some(peer) = &mut self.peer else { return };
        match act {
            Act::PeerWrites(n) if !self.doubt && !self.peer_ended => {
                let from = self.said.len();
                self.said.extend((0..usize::from(n)).map(|n| (from + n) as u8));
                self.doubt |= !peer.write(&self.said[from..]).await;
            }
            Act::PeerReads => self.hear(1).await,
            Act::PeerReadsAll => self.hear(usize::MAX).await,
            // Once: a second one waits for ours, and takes data that comes before it for an error.
            Act::PeerCloses if !self.doubt && !self.peer_ended => {
                self.peer_ended = true;
                self.doubt |= !peer.close_notify().await;
            }
            Act::PeerFin => peer.fin().await,
            _ => {}
        }
    }

    async fn hear(&mut self, most: usize) {
        let Some(peer) = &mut self.peer else { return };
        let mut buffer = vec![0; 16 * 1024];
        for _ in 0..most {
            if self.heard_end {
                return;
            }
            match peer.read(&mut buffer).await {
                Ok(Some(0)) => self.heard_end = true,
                Ok(Some(n)) => self.heard += n as u64,
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Everything that was asked is answered, and the account adds up.
    async fn leaves(mut self, row: Option<Lost>) {
        self.hear(usize::MAX).await;
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let lost = assert_end(&seen);
        assert!(row.is_none_or(|row| row == lost), "the ledger has another end than the protocol was told");
        assert!(self.said.starts_with(&seen.received), "what the peer did not say was received: {lost:?}");
        for end in self.ends {
            match end.await {
                Ok(told) => assert_eq!(told, lost),
                Err(ended) => assert_eq!(ended.lost.as_deref(), Some(&lost)),
            }
        }
        let (mut accepted, mut unknown) = (seen.echoed, self.told);
        for (n, write) in self.writes {
            match write.await {
                Ok(()) => accepted += n,
                Err(WriteError::Lost(told)) => {
                    assert_eq!(*told, lost);
                    unknown += n;
                }
                Err(WriteError::Closing | WriteError::Overrun) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        for flush in self.flushes {
            match flush.await {
                Ok(()) => {}
                Err(WriteError::Lost(told)) => assert_eq!(*told, lost),
                Err(other) => panic!("{other:?}"),
            }
        }
        let account = lost.bytes_out + lost.bytes_unsent;
        assert!(account >= accepted, "{accepted} bytes were accepted: {lost:?}");
        assert!(
            account <= accepted + unknown,
            "no more than {accepted} + {unknown} bytes can have been accepted: {lost:?}"
        );
        assert!(self.heard <= lost.bytes_out, "the peer has heard {} bytes: {lost:?}", self.heard);
        if self.heard_end {
            assert!(lost.proof.close_notify_sent || lost.reason == Reason::Abandoned, "{lost:?}");
            assert_eq!((self.heard, lost.bytes_unsent), (lost.bytes_out, 0), "a close delivers: {lost:?}");
        }
        if self.manner == Manner::Echo {
            assert!(seen.echoed <= lost.bytes_in);
        }
    }
}
