//! A relay that misbehaves, on threads of its own.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use crate::life::Dice;

/// What is done to a connection, after some bytes.
enum Fault {
    None,
    Reset,
    Fin,
    Corrupt,
    Swallow,
    Stall,
    RefuseToTalk,
}

/// A relay to one port.
pub struct Relay {
    pub port: u16,
    busy: Arc<(Mutex<usize>, Condvar)>,
}

impl Relay {
    pub fn start(to: u16, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let busy = Arc::new((Mutex::new(0), Condvar::new()));
        let relay_busy = busy.clone();
        std::thread::spawn(move || {
            let mut dice = Dice::new(seed);
            loop {
                // Without descriptors nobody is accepted; the operating system keeps them waiting.
                let Ok((client, _)) = listener.accept() else {
                    std::thread::yield_now();
                    continue;
                };
                let mut dice = dice.fork();
                let busy = relay_busy.clone();
                *busy.0.lock().unwrap() += 1;
                std::thread::spawn(move || {
                    relay(client, to, &mut dice);
                    *busy.0.lock().unwrap() -= 1;
                    busy.1.notify_all();
                });
            }
        });
        Relay { port, busy }
    }

    /// Returns when no connection is relayed any more.
    pub fn wait_until_idle(&self) {
        let busy = self.busy.0.lock().unwrap();
        drop(self.busy.1.wait_while(busy, |busy| *busy > 0).unwrap());
    }
}

fn relay(client: TcpStream, to: u16, dice: &mut Dice) {
    let fault = match dice.below(14) {
        0 => Fault::Reset,
        1 => Fault::Fin,
        2 => Fault::Corrupt,
        3 => Fault::Swallow,
        4 => Fault::Stall,
        5 => Fault::RefuseToTalk,
        _ => Fault::None,
    };
    // Some in the handshake, some later.
    let latest = if dice.below(3) == 0 { 1500 } else { 60_000 };
    let after = dice.below(latest);
    if matches!(fault, Fault::RefuseToTalk) {
        let _ = client.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = (&client).read(&mut [0; 1]);
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // A thread ends at the latest when nothing has moved for so long, so that no descriptor outlives its round by more.
    let idle = Some(Duration::from_secs(2));
    let _ = (client.set_read_timeout(idle), server.set_read_timeout(idle));
    let _ = (client.set_write_timeout(idle), server.set_write_timeout(idle));
    std::thread::scope(|scope| {
        scope.spawn(|| pass(&client, &server, &Fault::None, usize::MAX));
        pass(&server, &client, &fault, after);
    });
}

/// One direction.
fn pass(from: &TcpStream, to: &TcpStream, fault: &Fault, after: usize) {
    let mut passed = 0;
    let mut buffer = [0; 16 * 1024];
    let (mut from_, mut to_) = (from, to);
    loop {
        let n = match from_.read(&mut buffer) {
            Ok(0) => break drop(to.shutdown(Shutdown::Write)),
            Ok(n) => n,
            Err(_) => break close(from, to),
        };
        passed += n;
        if passed > after {
            match fault {
                Fault::Reset => {
                    let _ = socket2::SockRef::from(to).set_linger(Some(Duration::ZERO));
                    return close(from, to);
                }
                Fault::Fin => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Fault::Corrupt => buffer[n / 2] ^= 0x55,
                Fault::Swallow => continue,
                Fault::Stall => std::thread::sleep(Duration::from_millis(300)),
                Fault::None | Fault::RefuseToTalk => {}
            }
        }
        if to_.write_all(&buffer[..n]).is_err() {
            break close(from, to);
        }
    }
}

fn close(from: &TcpStream, to: &TcpStream) {
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
