//! The life of one connection, by dice.

use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler};
use exeunt::{
    Abort, Call, ClientTls, Close, Connect, Connected, Data, Draining, Eof, Events, HalfClose, LateData, Lines, Lost,
    Options, Owner, PauseReading, Supervisor, Write,
};

/// Dice that fall the same way for the same seed (SplitMix64, Steele and others 2014).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn fork(&mut self) -> Dice {
        Dice(self.next())
    }
}

/// Whom to talk to.
pub struct Somebody {
    pub port: u16,
    /// The longest line that it answers with one.
    pub longest: usize,
    pub tls: ClientTls,
}

fn options(dice: &mut Dice) -> Options {
    let mut options = Options::default();
    options.dial = Duration::from_millis(50 + dice.below(500) as u64);
    options.handshake = Duration::from_millis(50 + dice.below(500) as u64);
    options.idle = (dice.below(4) == 0).then(|| Duration::from_millis(20 + dice.below(100) as u64));
    options.flush = Duration::from_millis(100 + dice.below(300) as u64);
    options.linger = Duration::from_millis(dice.below(300) as u64);
    options.write_high = 1 + dice.below(200_000);
    options.write_low = options.write_high / 4;
    if dice.below(2) == 0 {
        options.late_data = LateData::Deliver;
    }
    options
}

/// Connections one after the other, until the supervisor refuses.
pub async fn live(supervisor: Addr<Supervisor>, somebody: Somebody, mut dice: Dice) {
    loop {
        let target = format!("localhost:{}", somebody.port);
        let options = options(&mut dice);
        let lived = if dice.below(3) == 0 {
            owned(&supervisor, &target, &somebody, options, &mut dice).await
        } else {
            called(&supervisor, &target, &somebody, options, &mut dice).await
        };
        if lived.is_none() {
            return;
        }
    }
}

/// A life of calls. `None`: no more connections are to be had.
async fn called(
    supervisor: &Addr<Supervisor>,
    target: &str,
    somebody: &Somebody,
    options: Options,
    dice: &mut Dice,
) -> Option<()> {
    let connect = Connect::to(target, Lines::default().call_timeout(Duration::from_millis(100)));
    let connect = supervisor.send(connect.tls(&somebody.tls).options(options));
    if dice.below(10) == 0 {
        // Somebody who does not wait.
        let _ = tokio::time::timeout(Duration::from_millis(dice.below(5) as u64), connect).await;
        return Some(());
    }
    let connection = match connect.await.ok()? {
        Ok(connection) => connection,
        Err(exeunt::ConnectError::Lost(_)) => return Some(()),
        Err(_) => return None,
    };
    for _ in 0..dice.below(20) {
        let longest = if dice.below(10) == 0 { somebody.longest } else { 200 };
        let line = "x".repeat(dice.below(longest));
        match connection.send(Call::new(line.clone())).await {
            Ok(Ok(reply)) => {
                assert_eq!(reply.len(), line.len(), "an answer to another call")
            }
            Ok(_) => {}
            Err(ended) => {
                assert!(ended.lost.is_some());
                return Some(());
            }
        }
    }
    match dice.below(6) {
        0 => drop(connection),
        1 => drop(connection.abort().await),
        2 => {
            let _ = connection.send(HalfClose).await;
            tokio::time::sleep(Duration::from_millis(dice.below(20) as u64)).await;
            drop(connection.close().await);
        }
        3 => {
            let _ = connection.send(PauseReading).await;
            drop(connection.close().await);
        }
        4 => {
            let linger = Duration::from_millis(dice.below(50) as u64);
            let _ = connection.send(Close::new().linger(linger)).await;
        }
        _ => tokio::time::sleep(Duration::from_millis(dice.below(100) as u64)).await,
    }
    Some(())
}

/// A life of messages: an owner that may die in it.
async fn owned(
    supervisor: &Addr<Supervisor>,
    target: &str,
    somebody: &Somebody,
    options: Options,
    dice: &mut Dice,
) -> Option<()> {
    let (told, lost) = tokio::sync::oneshot::channel();
    let owner = Talker { told: Some(told), dies: dice.below(4) == 0, writes: dice.below(100_000) }.start();
    let connect = Connect::to(target, Events::new(&Owner::new(owner.clone()))).tls(&somebody.tls).options(options);
    if dice.below(2) == 0 {
        supervisor.do_send(connect);
        // `Err`: the owner died, or nobody was admitted.
        let _ = tokio::time::timeout(Duration::from_millis(200), lost).await;
        return Some(());
    }
    let connection = match supervisor.send(connect).await.ok()? {
        Ok(connection) => connection,
        Err(exeunt::ConnectError::Lost(_)) => return Some(()),
        Err(_) => return None,
    };
    tokio::time::sleep(Duration::from_millis(dice.below(50) as u64)).await;
    if dice.below(2) == 0 {
        let _ = connection.send(Abort).await;
    } else {
        drop(connection.close().await);
    }
    Some(())
}

struct Talker {
    told: Option<tokio::sync::oneshot::Sender<()>>,
    dies: bool,
    writes: usize,
}

impl Actor for Talker {
    type Context = Context<Self>;
}

impl Handler<Connected> for Talker {
    type Result = ();
    fn handle(&mut self, connected: Connected, context: &mut Context<Self>) {
        let mut bytes = vec![b'x'; self.writes];
        bytes.push(b'\n');
        connected.connection.do_send(Write::new(bytes));
        let handle = connected.connection;
        context.run_later(Duration::from_millis(30), move |_, _| handle.do_send(Close::new()));
    }
}

impl Handler<Data> for Talker {
    type Result = ();
    fn handle(&mut self, _: Data, context: &mut Context<Self>) {
        if self.dies {
            actix::ActorContext::stop(context);
        }
    }
}

impl Handler<Eof> for Talker {
    type Result = ();
    fn handle(&mut self, _: Eof, _: &mut Context<Self>) {}
}

impl Handler<Draining> for Talker {
    type Result = ();
    fn handle(&mut self, _: Draining, _: &mut Context<Self>) {}
}

impl Handler<Lost> for Talker {
    type Result = ();
    fn handle(&mut self, _: Lost, _: &mut Context<Self>) {
        let told = self.told.take().expect("a second Lost");
        // The test may have given up waiting.
        let _ = told.send(());
    }
}
