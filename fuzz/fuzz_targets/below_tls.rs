//! A peer that has shaken hands, and then does anything: valid data, records that it made up, bytes, alerts, close_notify, FIN, in any order and at any pace.
#![no_main]

use arbitrary::Arbitrary;
use exeunt::{Adopt, EndOfStream, Socket, Write};
use exeunt_fuzz::stage::*;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    side: Side,
    version: Version,
    manner: Manner,
    deliver_late: bool,
    acts: Vec<Act<'a>>,
    stays: bool,
}

#[derive(Arbitrary, Debug)]
enum Act<'a> {
    /// Below TLS.
    Raw(&'a [u8]),
    /// A record below TLS: its kind, whether its length is told as it is, and what is in it.
    Record(u8, Option<u16>, &'a [u8]),
    /// An alert in the clear.
    Alert(u8, u8),
    /// Plaintext, encrypted.
    Write(&'a [u8]),
    /// So many bytes of plaintext.
    Much(u16),
    Read,
    CloseNotify,
    Fin,
    /// Milliseconds of nothing.
    Wait(u16),
    /// The connection says so many bytes.
    Say(u16),
    Close,
}

fuzz_target!(|input: Input<'_>| play(scene(input)));

async fn scene(input: Input<'_>) {
    let (supervisor, books) = supervise();
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (witness, seen) = Witness::new(input.manner);
    let adopt = match input.side {
        Side::Client => Adopt::client(Socket::boxed(ours), "localhost", client_tls(), witness),
        Side::Server => Adopt::server(Socket::boxed(ours), "pipe", server_tls(), witness),
    };
    let adopt = if input.deliver_late { adopt.late_data(exeunt::LateData::Deliver) } else { adopt };
    let mut peer = RawPeer::new(input.side, input.version, theirs);
    let (connection, ()) = tokio::join!(supervisor.send(adopt), peer.shake_hands());
    let connection = connection.unwrap().unwrap();

    // What the peer has said in a way that TLS vouches for. What may have come of a write that was given up is not known.
    let (mut said, mut doubt) = (Vec::new(), false);
    // Nothing but TLS was written below TLS.
    let mut honest = true;
    let mut clean_end = false;
    let mut buffer = vec![0; 16 * 1024];
    for act in input.acts.iter().take(64) {
        match act {
            Act::Raw(bytes) => {
                honest &= bytes.is_empty();
                peer.write_raw(bytes).await;
            }
            Act::Record(kind, length, bytes) => {
                honest = false;
                let length = length.unwrap_or(bytes.len() as u16).to_be_bytes();
                peer.write_raw(&[&[20 + kind % 5, 3, 3], &length[..], bytes].concat()).await;
            }
            Act::Alert(level, number) => {
                honest = false;
                peer.write_raw(&[21, 3, 3, 0, 2, *level, *number]).await;
            }
            Act::Write(bytes) if !doubt && !clean_end => {
                said.extend_from_slice(bytes);
                doubt |= !peer.write(bytes).await;
            }
            Act::Much(n) if !doubt && !clean_end => {
                let bytes = vec![*n as u8; usize::from(*n)];
                said.extend_from_slice(&bytes);
                doubt |= !peer.write(&bytes).await;
            }
            Act::Write(_) | Act::Much(_) => {}
            Act::Read => {
                let _ = peer.read(&mut buffer).await;
            }
            Act::CloseNotify if !doubt => clean_end |= peer.close_notify().await,
            Act::CloseNotify => {}
            Act::Fin => peer.fin().await,
            Act::Wait(ms) => tokio::time::sleep(std::time::Duration::from_millis((*ms).into())).await,
            Act::Say(n) => connection.do_send(Write::new(vec![1; usize::from(*n)])),
            Act::Close => connection.do_send(exeunt::Close::new()),
        }
    }
    settle().await;
    let peer = input.stays.then_some(peer);
    drop(connection);
    exeunt(supervisor, books).await;
    let seen = seen.lock().unwrap();
    let lost = assert_end(&seen);
    assert!(said.starts_with(&seen.received), "what nobody said was received: {lost:?}");
    if seen.end == Some(EndOfStream::CloseNotify) {
        assert!(clean_end || doubt || !honest, "a clean end that nobody said: {lost:?}");
    }
    drop(peer);
}
