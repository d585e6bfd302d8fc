//! Connections that leave HTTP: the same ticket, the same `Lost`, and nothing lost in between.

mod client;
mod crowd;
mod draining;
mod server;
mod session;

use exeunt::SupervisedStream;
use tokio::io::AsyncReadExt;

/// What a client says that wants to leave HTTP.
const ASK: &str = "GET /room HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n";

/// What a server says that lets it.
const GRANT: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n";

/// The next `n` bytes.
async fn read(stream: &mut SupervisedStream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}
