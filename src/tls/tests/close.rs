//! The end of a connection, told apart.

use std::future::poll_fn;

use super::*;

/// Law 5: close_notify is a clean end, in either direction, and each end keeps answering the same.
#[tokio::test]
async fn close_notify_is_a_clean_end() {
    for (mut client, mut server) in every_pair().await {
        close_notify(&mut client).await.unwrap();
        close_notify(&mut client).await.unwrap();
        for _ in 0..2 {
            assert_eq!(event(&mut server).await, Ok(ReadEvent::CloseNotify));
        }
        assert!(client.close_notify_sent() && server.close_notify_received());
        assert!(!server.fin_seen(), "close_notify is not followed by FIN");
        close_notify(&mut server).await.unwrap();
        assert_eq!(event(&mut client).await, Ok(ReadEvent::CloseNotify));
        assert!(client.close_notify_received());
    }
}

/// Law 5: a FIN without close_notify is a truncation, and what we hold can still be written.
#[tokio::test]
async fn a_bare_fin_is_told_and_does_not_stop_our_writing() {
    for (mut client, mut server) in every_pair().await {
        send(&mut client, b"last words").await.unwrap();
        fin(&mut client).await;
        assert_eq!(receive(&mut server).await, Ok("last words".into()));
        for _ in 0..2 {
            assert_eq!(event(&mut server).await, Ok(ReadEvent::Fin));
        }
        assert!(server.fin_seen() && !server.close_notify_received());
        send(&mut server, b"held").await.unwrap();
        close_notify(&mut server).await.unwrap();
        assert_eq!(receive(&mut client).await, Ok("held".into()));
        assert_eq!(event(&mut client).await, Ok(ReadEvent::CloseNotify));
    }
}

#[tokio::test]
async fn a_fin_inside_a_record_is_a_fin() {
    let (near, far) = memory();
    let (mut client, server) = secured(&client().build().unwrap(), &server().build().unwrap(), (near, far)).await;
    // 1 KB of a 16 KB record fits into the socket; then its writer goes away.
    let mut server = Some(server);
    let record = vec![b'x'; 16_000];
    poll_fn(|cx| {
        assert!(server.as_mut().unwrap().poll_write(cx, &record).is_pending());
        Poll::Ready(())
    })
    .await;
    assert!(!server.as_mut().unwrap().try_close_notify(), "an alert cannot overtake a half-written record");
    assert!(matches!(close_notify(server.as_mut().unwrap()).await, Err(StreamFailure::Tls(_))));
    drop(server.take());
    assert_eq!(event(&mut client).await, Ok(ReadEvent::Fin));
}

#[tokio::test]
async fn a_reset_is_told() {
    let (client, mut server) = pair().await;
    reset(client);
    assert_eq!(event(&mut server).await, Err(StreamFailure::Reset));
    assert_eq!(event(&mut server).await, Err(StreamFailure::Reset), "and keeps being told");
    assert_eq!(close_notify(&mut server).await, Err(StreamFailure::Reset));
    assert!(!server.try_close_notify());
    fin(&mut server).await;
}

/// A socket that does not linger is closed by a reset.
pub(super) fn reset(stream: TlsStream) {
    let socket = socket2::SockRef::from(match stream.socket() {
        Socket::Tcp(tcp) => tcp,
        _ => panic!("only TCP is reset"),
    });
    socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
}

/// After our close_notify the peer may still speak, and is heard.
#[tokio::test]
async fn what_comes_after_our_close_notify_is_read() {
    for (mut client, mut server) in every_pair().await {
        close_notify(&mut client).await.unwrap();
        assert_eq!(event(&mut server).await, Ok(ReadEvent::CloseNotify));
        send(&mut server, b"late").await.unwrap();
        assert_eq!(receive(&mut client).await, Ok("late".into()));
        assert!(is_silent(&mut client).await);
        close_notify(&mut server).await.unwrap();
        assert_eq!(event(&mut client).await, Ok(ReadEvent::CloseNotify));
        assert!(send(&mut client, b"too late").await.is_err());
    }
}

/// Our FIN comes when it is asked for, and not before.
#[tokio::test]
async fn fin_waits_until_it_is_asked_for() {
    let (mut client, server) = pair().await;
    close_notify(&mut client).await.unwrap();
    let Socket::Tcp(tcp) = server.into_socket_for_test() else { panic!() };
    let mut bytes = [0; 100];
    let alert = tcp_read(&tcp, &mut bytes).await;
    assert!(alert > 0, "the close_notify");
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tcp.try_read(&mut bytes).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    fin(&mut client).await;
    fin(&mut client).await;
    assert_eq!(tcp_read(&tcp, &mut bytes).await, 0);
}

async fn tcp_read(tcp: &TcpStream, bytes: &mut [u8]) -> usize {
    loop {
        tcp.readable().await.unwrap();
        match tcp.try_read(bytes) {
            Ok(n) => return n,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

#[tokio::test]
async fn a_teardown_gets_one_attempt() {
    for (mut client, mut server) in every_pair().await {
        assert!(client.try_close_notify());
        assert!(client.close_notify_sent());
        assert_eq!(event(&mut server).await, Ok(ReadEvent::CloseNotify));
    }
    let mut early = TlsStream::client(&client().build().unwrap(), "localhost", 1, None, memory().0).unwrap();
    assert!(!early.try_close_notify(), "not before the handshake");
}

/// Law 1: a teardown may come when there is no runtime any more.
#[test]
fn a_teardown_outside_of_a_runtime_does_not_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut client, mut server) = runtime.block_on(pair());
    client.try_close_notify();
    drop(runtime);
    server.try_close_notify();
    drop((client, server));
}

#[tokio::test]
async fn a_socket_that_panics_does_not_panic_a_teardown() {
    struct Panics;
    impl tokio::io::AsyncRead for Panics {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            panic!("read")
        }
    }
    impl tokio::io::AsyncWrite for Panics {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            panic!("write")
        }
        fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<std::io::Result<()>> {
            panic!("flush")
        }
        fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<std::io::Result<()>> {
            panic!("shutdown")
        }
    }
    let (mut client, _server) = pair().await;
    client.replace_socket_for_test(Socket::boxed(Panics));
    assert!(!client.try_close_notify());
    assert!(!client.try_close_notify());
}

#[tokio::test]
async fn buffers_are_given_back_and_come_again() {
    for (mut client, mut server) in every_pair().await {
        for _ in 0..3 {
            client.give_back_buffers();
            server.give_back_buffers();
            send(&mut client, &[7; 10_000]).await_with(&mut server, 10_000).await;
        }
        close_notify(&mut client).await.unwrap();
        assert_eq!(event(&mut server).await, Ok(ReadEvent::CloseNotify));
    }
}

/// What comes after a close is written as small as it was said it would be; that a buffer already there stays is the library's business.
#[cfg(not(feature = "aws-lc"))]
#[tokio::test]
async fn what_is_written_from_a_close_on_is_little() {
    let (mut client, mut server) = pair().await;
    for (little, longest) in [(false, 1000), (true, 512)] {
        if little {
            compat::write_little(client.ssl());
        }
        send(&mut client, &[7; 1000]).await.unwrap();
        let mut left = 1000;
        while left > 0 {
            // At most one record.
            let mut record = BytesMut::with_capacity(1000);
            let read = poll_fn(|cx| server.poll_read(cx, &mut record)).await;
            assert_eq!(read, Ok(ReadEvent::Data(left.min(longest))));
            left -= record.len();
        }
    }
}

trait AwaitWith: Future<Output = Result<(), StreamFailure>> + Sized {
    /// Sends while the other side receives: the socket in memory holds less than that.
    async fn await_with(self, other: &mut TlsStream, total: usize) {
        let (sent, ()) = tokio::join!(self, async {
            let mut got = 0;
            while got < total {
                got += receive(other).await.unwrap().len();
                // Also in the middle of a record: then nothing may be freed.
                other.give_back_buffers();
            }
        });
        sent.unwrap();
    }
}

impl<F: Future<Output = Result<(), StreamFailure>>> AwaitWith for F {}

/// A record that was written half is finished with the same bytes.
#[tokio::test]
async fn a_large_transfer_through_a_small_socket_arrives_whole() {
    for version in VERSIONS {
        let client = client().min_version(version).max_version(version).build().unwrap();
        let (mut client, mut server) = secured(&client, &server().build().unwrap(), memory()).await;
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        let mut got = Vec::new();
        let (sent, ()) = tokio::join!(send(&mut client, &bytes), async {
            while got.len() < bytes.len() {
                got.extend_from_slice(&receive(&mut server).await.unwrap());
            }
        });
        sent.unwrap();
        assert!(got == bytes);
    }
}
