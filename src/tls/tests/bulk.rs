//! Long transfers.

use super::{stream::RECORD, *};

/// Law 8: what comes faster than it is read is read by four records at a time, in its order, and nothing stays behind.
#[tokio::test]
async fn a_burst_is_read_at_once_and_leaves_nothing() {
    for reads_ahead in [true, false] {
        let (client, server) = (client().read_ahead(reads_ahead).build().unwrap(), server().build().unwrap());
        let (mut client, mut server) = secured(&client, &server, tcp().await).await;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 4096) as u8).collect();
        let (mut came, mut held) = (BytesMut::new(), 0);
        let receiving = async {
            while came.len() < sent.len() {
                poll_fn(|cx| client.poll_read(cx, &mut came)).await.unwrap();
                held = held.max(client.read_ahead());
            }
        };
        // The first poll of the sender fills the socket.
        let (sending, ()) = tokio::join!(send(&mut server, &sent), receiving);
        sending.unwrap();
        assert!(came == sent);
        assert_eq!((held > RECORD, client.read_ahead()), (reads_ahead, 0));
    }
}
