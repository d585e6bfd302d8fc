//! TLS inside TLS: how each of the two can end, and what the inner one says of it.

use super::*;

/// Client and server of an inner connection whose socket is an outer one.
async fn nested_pair(sockets: (Socket, Socket)) -> (TlsStream, TlsStream) {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    let (near, far) = secured(&client, &server, sockets).await;
    secured(&client, &server, (near.into(), far.into())).await
}

async fn every_nested_pair() -> [(TlsStream, TlsStream); 2] {
    [nested_pair(tcp().await).await, nested_pair(memory()).await]
}

fn outer(stream: &TlsStream) -> &Nested {
    match stream.socket() {
        Socket::Tls(outer) => outer,
        other => panic!("it runs over {other:?}"),
    }
}

/// A mebibyte each way through both, by a socket that takes little at a time: the half-written records of both are finished with the same bytes.
#[tokio::test]
async fn a_mebibyte_each_way() {
    async fn pass(from: &mut TlsStream, to: &mut TlsStream, bytes: &[u8]) {
        let mut got = Vec::new();
        let (sent, ()) = tokio::join!(send(from, bytes), async {
            while got.len() < bytes.len() {
                got.extend_from_slice(&receive(to).await.unwrap());
                // Also in the middle of a record: then nothing may be freed.
                to.give_back_buffers();
            }
        });
        sent.unwrap();
        assert!(got == bytes);
    }
    let bytes: Vec<u8> = (0..1_u32 << 20).map(|n| (n / 3) as u8).collect();
    for (mut client, mut server) in every_nested_pair().await {
        pass(&mut client, &mut server, &bytes).await;
        pass(&mut server, &mut client, &bytes).await;
    }
}

/// Laws 4 and 5: the inner close_notify says that the inner stream is whole; the FIN of the inner stream is a close_notify of the outer, and the FIN below.
#[tokio::test]
async fn both_say_close_notify_and_the_outer_says_it_for_a_fin() {
    for (mut client, mut server) in every_nested_pair().await {
        close_notify(&mut client).await.unwrap();
        assert_eq!(event(&mut server).await, Ok(ReadEvent::CloseNotify));
        assert!(is_silent(&mut client).await);
        assert_eq!(outer(&server).end(), None, "the outer one is for the FIN");
        close_notify(&mut server).await.unwrap();
        assert_eq!(event(&mut client).await, Ok(ReadEvent::CloseNotify));
        fin(&mut client).await;
        let Socket::Tls(outer_server) = server.into_socket_for_test() else { panic!() };
        assert_eq!(event(&mut outer_server.into_outer()).await, Ok(ReadEvent::CloseNotify));
    }
}

/// Law 5: an inner stream that ends without its close_notify is cut short, whatever the outer one says; which of the two was cut can be told.
#[tokio::test]
async fn the_cut_of_either_is_told() {
    for (client, mut server) in every_nested_pair().await {
        let Socket::Tls(outer_client) = client.into_socket_for_test() else { panic!() };
        let mut outer_client = outer_client.into_outer();
        close_notify(&mut outer_client).await.unwrap();
        fin(&mut outer_client).await;
        assert_eq!(event(&mut server).await, Ok(ReadEvent::Fin));
        assert_eq!(outer(&server).end(), Some(ReadEvent::CloseNotify));
        send(&mut server, b"a half-closed peer still listens").await.unwrap();
    }
    for (client, mut server) in every_nested_pair().await {
        let Socket::Tls(outer_client) = client.into_socket_for_test() else { panic!() };
        fin(&mut outer_client.into_outer()).await;
        assert_eq!(event(&mut server).await, Ok(ReadEvent::Fin));
        assert_eq!(outer(&server).end(), Some(ReadEvent::Fin));
    }
}

/// Law 4: after its FIN the inner stream reads on.
#[tokio::test]
async fn what_comes_after_our_fin_is_read() {
    for (mut client, mut server) in every_nested_pair().await {
        send(&mut server, b"before").await.unwrap();
        fin(&mut client).await;
        send(&mut server, b" and after").await.unwrap();
        let mut got = Vec::new();
        while got.len() < 16 {
            got.extend_from_slice(&receive(&mut client).await.unwrap());
        }
        assert_eq!(got, b"before and after");
    }
}

/// Law 1: a reset below is a reset above.
#[tokio::test]
async fn a_reset_below_is_told() {
    let (client, mut server) = nested_pair(tcp().await).await;
    let Socket::Tls(outer_client) = client.into_socket_for_test() else { panic!() };
    super::close::reset(outer_client.into_outer());
    assert_eq!(event(&mut server).await, Err(StreamFailure::Reset));
}

/// What failed outside is told as that.
#[tokio::test]
async fn a_corrupt_outer_record_is_the_outers() {
    let (client, mut server) = nested_pair(memory()).await;
    let Socket::Tls(outer_client) = client.into_socket_for_test() else { panic!() };
    let mut below = outer_client.into_outer().into_socket_for_test();
    tokio::io::AsyncWriteExt::write_all(&mut below, b"\x17\x03\x03\x00\x20this is thirty-two bytes of junk")
        .await
        .unwrap();
    let failure = event(&mut server).await.unwrap_err();
    assert!(
        matches!(&failure, StreamFailure::Io(words) if words.starts_with("the outer TLS connection failed: ")),
        "{failure:?}"
    );
}

/// A handshake that fails inside writes its alert through the outer stream, and keeps its own words: they are in the queue of errors that both share.
#[tokio::test]
async fn an_inner_failure_keeps_its_words() {
    let (trusting, server) = (client().build().unwrap(), server().build().unwrap());
    let (near, far) = secured(&trusting, &server, memory()).await;
    let (ours, theirs, ..) = shake(&trusting, "another.example", &server, (near.into(), far.into())).await;
    assert!(
        matches!(&ours, Err(HandshakeFailure::Certificate { message, .. }) if message.contains("mismatch")),
        "{ours:?}"
    );
    assert!(matches!(theirs, Err(HandshakeFailure::Alert(_))), "{theirs:?}");
    let (near, far) = secured(&trusting, &server, memory()).await;
    let old = super::client().max_version(TlsVersion::Tls12).build().unwrap();
    let new = super::server().min_version(TlsVersion::Tls13).build().unwrap();
    let (ours, theirs, ..) = shake(&old, "localhost", &new, (near.into(), far.into())).await;
    assert!(
        matches!(&theirs, Err(HandshakeFailure::Tls(words)) if words.to_lowercase().contains("protocol")),
        "{theirs:?}"
    );
    assert!(matches!(ours, Err(HandshakeFailure::Alert(_))), "{ours:?}");
}

/// The addresses are those of the socket at the bottom.
#[tokio::test]
async fn addresses_are_those_below() {
    let (client, server) = nested_pair(tcp().await).await;
    assert!(client.peer_addr().is_some());
    assert_eq!((client.peer_addr(), client.local_addr()), (server.local_addr(), server.peer_addr()));
}
