//! Records the seeds of `corpus-kept` anew: what a real peer says in a handshake, cut at the places that matter.
//!
//! usage: cargo run --manifest-path fuzz/Cargo.toml --example record

use std::{fs, path::Path};

use exeunt_fuzz::stage::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn main() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus-kept");
    for (version, name) in [(Version::Tls12, "tls12"), (Version::Tls13, "tls13")] {
        let (from_client, from_server) = record(version);
        for (target, said) in [("tls_client", from_server), ("tls_server", from_client)] {
            let first = 5 + usize::from(u16::from_be_bytes([said[3], said[4]]));
            // FIN at the end, in one piece; reset, byte by byte; silence, in records of 100; a socket that takes little.
            for (how, takes, upto, what) in [
                (0, 255, said.len(), "whole"),
                (4, 255, first, "first_record_reset"),
                (11, 255, said.len() - 1, "cut_silent"),
                (0, 1, said.len(), "full_socket"),
            ] {
                let folder = kept.join(target);
                fs::create_dir_all(&folder).unwrap();
                let seed = [&[how, takes], &said[..upto]].concat();
                fs::write(folder.join(format!("{name}_{what}")), seed).unwrap();
            }
        }
    }
}

/// What a client and a server say to each other, up to a close by both.
fn record(version: Version) -> (Vec<u8>, Vec<u8>) {
    let mut said = (Vec::new(), Vec::new());
    play(async {
        let (client_pipe, mut client_end) = tokio::io::duplex(64 * 1024);
        let (server_pipe, mut server_end) = tokio::io::duplex(64 * 1024);
        // The peer of a server is a client.
        let mut client = RawPeer::new(Side::Server, version, client_pipe);
        let mut server = RawPeer::new(Side::Client, version, server_pipe);
        let talk = async {
            tokio::join!(client.shake_hands(), server.shake_hands());
            assert!(client.write(b"question").await && server.write(b"answer").await);
            assert!(client.close_notify().await && server.close_notify().await);
            client.fin().await;
            server.fin().await;
        };
        tokio::join!(talk, relay(&mut client_end, &mut server_end, &mut said));
    });
    said
}

async fn relay(client: &mut DuplexStream, server: &mut DuplexStream, said: &mut (Vec<u8>, Vec<u8>)) {
    let (mut from_client, mut from_server) = ([0; 4096], [0; 4096]);
    let (mut client_open, mut server_open) = (true, true);
    while client_open || server_open {
        tokio::select! {
            n = client.read(&mut from_client), if client_open => match n.unwrap() {
                0 => client_open = false,
                n => {
                    said.0.extend_from_slice(&from_client[..n]);
                    server.write_all(&from_client[..n]).await.unwrap();
                }
            },
            n = server.read(&mut from_server), if server_open => match n.unwrap() {
                0 => server_open = false,
                n => {
                    said.1.extend_from_slice(&from_server[..n]);
                    client.write_all(&from_server[..n]).await.unwrap();
                }
            },
        }
    }
}
