//! Something between the two that passes bytes on, and can spoil one.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// One connection from whoever connects to it, on to whoever it was made for.
#[derive(Clone, Default)]
pub struct Relay {
    /// Spoil the next bytes that come from whoever connects.
    pub spoil_from_client: Arc<AtomicBool>,
    /// Spoil the next bytes that come from whoever serves.
    pub spoil_from_server: Arc<AtomicBool>,
}

impl Relay {
    /// Stands before `server`: answers with the address to connect to.
    pub fn before(&self, server: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let relay = self.clone();
        // Its two threads end when both sides have closed.
        std::thread::spawn(move || {
            let client = listener.accept().unwrap().0;
            let server = TcpStream::connect(server).unwrap();
            let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || pass(server_too, client_too, &relay.spoil_from_server));
            pass(client, server, &relay.spoil_from_client);
        });
        address
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, spoil: &AtomicBool) {
    let mut buffer = [0; 65536];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if spoil.swap(false, SeqCst) {
            // The last byte of a record is in its authentication tag.
            buffer[n - 1] ^= 1;
        }
        if to.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
