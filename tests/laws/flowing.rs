//! A connection as a stream: how its bytes flow, in both roles.

use std::{io::ErrorKind, pin::pin};

use exeunt::{Adopt, Reason, Role, StreamError, Streamed, Supervisor};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};

use crate::{
    stage::*,
    streams::{Play, ROLES, inner, is_pending, meet_stream},
};

const MARK: usize = 64 * 1024;

/// Law 4: a shutdown writes what was accepted, then close_notify, and is done when they are out; reading goes on for as long as the peer likes.
#[actix::test]
async fn a_shutdown_closes_our_direction_alone() {
    tokio::time::pause();
    for role in ROLES {
        let mut play = Play::open_with(role, Streamed::new(), |adopt| adopt.write_marks(8 << 20, 0)).await;
        play.stream.write_all(&vec![1; 1 << 20]).await.unwrap();
        let (shut, bytes) = tokio::join!(
            async {
                let mut shutdown = pin!(play.stream.shutdown());
                tokio::select! {
                    _ = &mut shutdown => panic!("the peer has taken nothing yet"),
                    () = tokio::time::sleep(SECOND) => {}
                }
                shutdown.await
            },
            async {
                tokio::time::sleep(SECOND * 2).await;
                play.peer.read_to_close_notify().await.unwrap()
            }
        );
        shut.unwrap();
        assert_eq!(bytes.len(), 1 << 20);
        play.stream.shutdown().await.unwrap();
        let error = play.stream.write(b"more").await.unwrap_err();
        assert_eq!((error.kind(), inner(&error)), (ErrorKind::BrokenPipe, &StreamError::ShutDown));
        tokio::time::sleep(SECOND * 60).await;
        let mut bytes = Vec::new();
        let (read, ()) = tokio::join!(play.stream.read_to_end(&mut bytes), async {
            play.peer.write(&[2; 300_000]).await;
            play.peer.close().await;
        });
        assert_eq!(read.unwrap(), 300_000);
        assert_eq!(play.stream.closed().await.reason, Reason::Closed);
        play.end().await;
    }
}

/// A flush is done when the operating system has taken what was accepted, and not before.
#[actix::test]
async fn a_flush_waits_for_the_operating_system() {
    tokio::time::pause();
    for role in ROLES {
        let mut play = Play::open_with(role, Streamed::new(), |adopt| adopt.write_marks(8 << 20, 0)).await;
        play.stream.flush().await.unwrap();
        play.stream.write_all(&vec![1; 1 << 20]).await.unwrap();
        let mut flush = Box::pin(play.stream.flush());
        tokio::select! {
            _ = &mut flush => panic!("a pipe of {PIPE} bytes cannot have taken it"),
            () = tokio::time::sleep(SECOND) => {}
        }
        let (flushed, _) = tokio::join!(flush, play.peer.read_exactly(1 << 20));
        flushed.unwrap();
        assert_eq!(play.stream.handle().info().await.unwrap().bytes_waiting, 0);
        play.end().await;
    }
}

/// Law 8: an application that does not read slows the peer; no more than the mark and a record waits.
#[actix::test]
async fn a_slow_reader_slows_its_peer() {
    tokio::time::pause();
    for role in ROLES {
        let mut play = Play::open(role).await;
        let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| (n / 7) as u8).collect();
        let mut writing = Box::pin(play.peer.write(&bytes));
        tokio::select! {
            () = &mut writing => panic!("nobody has read it"),
            () = tokio::time::sleep(SECOND) => {}
        }
        let taken = play.stream.handle().info().await.unwrap().bytes_in as usize;
        assert!((MARK..MARK + 16 * 1024).contains(&taken), "{taken} bytes were taken");
        let mut read = vec![0; bytes.len()];
        let (result, ()) = tokio::join!(play.stream.read_exact(&mut read), writing);
        result.unwrap();
        assert!(read == bytes);
        play.end().await;
    }
}

/// Law 8: a peer that does not read slows the writer at the high mark, and lets it go on at the low one.
#[actix::test]
async fn a_slow_peer_slows_the_writer() {
    tokio::time::pause();
    for role in ROLES {
        let mut play = Play::open_with(role, Streamed::new(), |adopt| adopt.write_marks(MARK, MARK / 4)).await;
        let handle = play.stream.handle().clone();
        let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| (n / 7) as u8).collect();
        let mut writing = Box::pin(play.stream.write_all(&bytes));
        tokio::select! {
            _ = &mut writing => panic!("nobody has read it"),
            () = tokio::time::sleep(SECOND) => {}
        }
        let waiting = handle.info().await.unwrap().bytes_waiting as usize;
        assert_eq!(waiting, MARK);
        // Above the low mark nothing is accepted, below it there is room again.
        let mut received = play.peer.read_exactly(16 * 1024).await;
        tokio::time::sleep(SECOND).await;
        assert!(is_pending(writing.as_mut()));
        let waiting = handle.info().await.unwrap().bytes_waiting as usize;
        assert!((MARK / 4..MARK).contains(&waiting), "{waiting} bytes wait");
        let (written, rest) = tokio::join!(writing, play.peer.read_exactly(bytes.len() - received.len()));
        written.unwrap();
        received.extend(rest);
        assert!(received == bytes);
        drop(handle);
        play.end().await;
    }
}

/// Laws 4 and 5: a proxy of two streams and `copy_bidirectional` passes bytes and both ends on.
#[actix::test]
async fn a_proxy_passes_bytes_and_ends() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (mut inward, mut client) = meet_stream(&supervisor, Role::Server, Streamed::new(), |adopt| adopt).await;
    let (mut outward, mut server) = meet_stream(&supervisor, Role::Client, Streamed::new(), |adopt| adopt).await;
    let (asked, answered) = (vec![5; 700_000], vec![6; 900_000]);
    let (copied, request, reply) = tokio::join!(
        copy_bidirectional(&mut inward, &mut outward),
        async {
            let request = server.read_to_close_notify().await.unwrap();
            server.write(&answered).await;
            server.close().await;
            request
        },
        async {
            client.write(&asked).await;
            client.close_notify().await;
            client.read_to_close_notify().await.unwrap()
        }
    );
    assert_eq!(copied.unwrap(), (700_000, 900_000));
    assert!(request == asked && reply == answered);
    let (inward, outward) = (inward.closed().await, outward.closed().await);
    assert_eq!((inward.reason, outward.reason), (Reason::ClosedByPeer, Reason::Closed));
    exeunt(supervisor, books).await;
}

/// Law 4: what was accepted in the moment of an end is counted, wherever it lay.
#[actix::test]
async fn what_the_connection_had_not_fetched_is_counted() {
    for role in ROLES {
        let mut play = Play::open(role).await;
        let handle = play.stream.handle().clone();
        let mut abort = Box::pin(async move { handle.abort().await });
        assert!(is_pending(abort.as_mut()));
        // The actor is not polled before we yield: the order to abort is before these bytes.
        play.stream.write_all(&[1; 1000]).await.unwrap();
        let lost = abort.await;
        assert_eq!((lost.bytes_out, lost.bytes_unsent), (0, 1000));
        assert!(play.stream.flush().await.is_err());
        play.end().await;
    }
}

/// Law 4: what was accepted before an order to close was obeyed is delivered before the close_notify.
#[actix::test]
async fn what_was_accepted_in_the_moment_of_a_close_is_delivered() {
    for role in ROLES {
        let mut play = Play::open(role).await;
        let handle = play.stream.handle().clone();
        let mut close = Box::pin(async move { handle.close().await });
        assert!(is_pending(close.as_mut()));
        play.stream.write_all(&[1; 1000]).await.unwrap();
        let (lost, bytes) = tokio::join!(close, async {
            let bytes = play.peer.read_to_close_notify().await.unwrap();
            play.peer.close().await;
            bytes
        });
        assert_eq!((bytes.len(), lost.reason, lost.bytes_out), (1000, Reason::Closed, 1000));
        play.end().await;
    }
}

/// A stream is used on any thread: here both connections are on workers, and both streams on a third thread.
#[actix::test]
async fn a_stream_is_used_on_any_thread() {
    let (supervisor, books) = supervise(Supervisor::new().workers(2));
    let (ours, theirs) = pipe(PIPE);
    let server = Adopt::server(exeunt::Socket::boxed(theirs), "a client", &server_tls(), Streamed::new());
    let client = Adopt::client(ours, "localhost", &client_tls(), Streamed::new());
    let (mut server, mut client) = tokio::try_join!(server.open(&supervisor), client.open(&supervisor)).unwrap();
    let used = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let echo = async {
                let (mut reader, mut writer) = tokio::io::split(&mut server);
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let ask = async {
                let (mut reader, mut writer) = tokio::io::split(&mut client);
                let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| (n / 7) as u8).collect();
                let mut echoed = Vec::new();
                let (written, read) = tokio::join!(
                    async {
                        writer.write_all(&bytes).await?;
                        writer.shutdown().await
                    },
                    reader.read_to_end(&mut echoed)
                );
                written.unwrap();
                read.unwrap();
                assert!(echoed == bytes);
            };
            tokio::join!(echo, ask);
            (client.closed().await.reason, server.closed().await.reason)
        })
    });
    assert_eq!(used.await.unwrap(), (Reason::Closed, Reason::ClosedByPeer));
    exeunt(supervisor, books).await;
}
