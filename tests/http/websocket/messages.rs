//! Messages, pings and limits, of both sides, over pipes with a paused clock.

use exeunt::{
    Reason,
    http::websocket::{CloseCode, Message, WebSocketError, WebSocketOptions},
};
use futures_util::{FutureExt, SinkExt, StreamExt};

use super::{BINARY, PING, PONG, Play, ROLES, TEXT, end};
use crate::{
    over_both,
    stage::{Over, SECOND, settled},
};

over_both!(
    messages_go_both_ways
    pings_are_answered
    fragments_are_one_message
    what_is_too_large_is_refused
    what_breaks_the_protocol_is_refused
    a_large_message_leaves_the_next_as_it_is
    a_peer_that_does_not_read_slows_the_writer
    what_is_not_read_is_not_taken
    two_tasks_share_a_socket
    a_silent_peer_is_asked_and_given_up
    no_ping_is_sent_while_the_peer_speaks
);

async fn messages_go_both_ways(over: Over) {
    for role in ROLES {
        let mut play = Play::open(over, role).await;
        for (opcode, message) in [
            (TEXT, Message::from("grüße")),
            (BINARY, Message::from(vec![0, 1, 255])),
            (TEXT, Message::from("")),
            (BINARY, Message::from(vec![7; 100_000])),
        ] {
            let (sent, heard) = tokio::join!(play.socket.send(message.clone()), play.peer.hear());
            sent.unwrap();
            assert!(heard == (opcode, message.as_bytes().to_vec()));
            let (read, ()) = tokio::join!(play.socket.next(), play.peer.say(opcode, message.as_bytes()));
            assert_eq!(read.unwrap().unwrap(), message);
        }
        play.end().await;
    }
}

async fn pings_are_answered(over: Over) {
    for role in ROLES {
        let mut play = Play::open(over, role).await;
        play.peer.say(PING, "are you there").await;
        play.peer.say(PONG, "nobody asked").await;
        play.peer.say(TEXT, "hello").await;
        assert_eq!(play.socket.next().await.unwrap().unwrap(), "hello".into());
        assert_eq!(play.peer.hear().await, (PONG, b"are you there".to_vec()));
        play.end().await;
    }
}

/// Control frames come between them (RFC 6455, section 5.4), and a border in the middle of a character is none of the text's.
async fn fragments_are_one_message(over: Over) {
    for role in ROLES {
        let mut play = Play::open(over, role).await;
        let text = "gr\u{fc}\u{df}e".as_bytes();
        play.peer.say_frame(TEXT, &text[..3]).await;
        play.peer.say(PING, "1").await;
        play.peer.say_frame(0, "").await;
        play.peer.say_frame(0, &text[3..5]).await;
        play.peer.say_frame(0x80, &text[5..]).await;
        assert_eq!(play.socket.next().await.unwrap().unwrap(), "grüße".into());
        assert_eq!(play.peer.hear().await, (PONG, b"1".to_vec()));
        play.end().await;
    }
}

/// Law 8: as one frame, as one of its frames, and as all of them.
async fn what_is_too_large_is_refused(over: Over) {
    for role in ROLES {
        let of_message = WebSocketOptions::new().max_message(1000);
        let of_frame = of_message.clone().max_frame(500);
        for (size, limit, frames, options) in
            [(1001, 1000, 1, of_message.clone()), (501, 500, 1, of_frame), (1002, 1000, 3, of_message)]
        {
            let mut play = Play::with(over, role, options).await;
            match frames {
                1 => play.peer.say(BINARY, vec![1; size]).await,
                _ => {
                    play.peer.say_frame(BINARY, vec![1; 334]).await;
                    play.peer.say_frame(0, vec![1; 334]).await;
                    play.peer.say_frame(0x80, vec![1; 334]).await;
                }
            }
            let error = play.socket.next().await.unwrap().unwrap_err();
            assert_eq!(error, WebSocketError::TooLarge { size, limit });
            assert!(play.socket.next().await.is_none());
            assert_eq!(play.socket.send("more".into()).await.unwrap_err(), WebSocketError::Closing);
            assert_eq!(play.peer.hear_close().await.0, CloseCode::TOO_LARGE);
            play.peer.leave().await;
            let closed = play.socket.closed().await;
            assert_eq!((closed.code, closed.clean, closed.lost.reason), (CloseCode::ABNORMAL, false, Reason::Closed));
            end(play.supervisor, play.books).await;
        }
    }
}

async fn what_breaks_the_protocol_is_refused(over: Over) {
    for role in ROLES {
        for (first, payload, code) in [
            (0x81, &b"\xff\xff"[..], CloseCode::INVALID),
            (0x83, b"", CloseCode::PROTOCOL),
            (0xc1, b"compressed", CloseCode::PROTOCOL),
            (0x80, b"of no message", CloseCode::PROTOCOL),
            (0x09, b"half a ping", CloseCode::PROTOCOL),
            (0x88, b"x", CloseCode::PROTOCOL),
        ] {
            let mut play = Play::open(over, role).await;
            play.peer.say_frame(first, payload).await;
            let error = play.socket.next().await.unwrap().unwrap_err();
            assert!(matches!(error, WebSocketError::Protocol(_) | WebSocketError::NotText), "{first:x}: {error}");
            assert!(play.socket.next().await.is_none());
            assert_eq!(play.peer.hear_close().await.0, code, "{first:x}");
            play.peer.leave().await;
            assert!(!play.socket.closed().await.clean);
            end(play.supervisor, play.books).await;
        }
        // A client that does not mask, a server that does.
        let mut play = Play::open(over, role).await;
        play.peer.masks = !play.peer.masks;
        play.peer.say(TEXT, "hello").await;
        assert!(matches!(play.socket.next().await.unwrap().unwrap_err(), WebSocketError::Protocol(_)));
        play.peer.masks = !play.peer.masks;
        assert_eq!(play.peer.hear_close().await.0, CloseCode::PROTOCOL);
        play.end().await;
    }
}

/// The frame library is made anew when a large message is over: whatever of the next has come by then is not lost.
async fn a_large_message_leaves_the_next_as_it_is(over: Over) {
    for role in ROLES {
        let mut play = Play::open(over, role).await;
        let large = vec![3; 100_000];
        let next = [
            play.peer.frame(TEXT, "one"),
            play.peer.frame(0x80 | PING, "two"),
            play.peer.frame(0x80, " and three"),
            play.peer.frame(0x80 | BINARY, &large),
        ]
        .concat();
        for cut in 0..22 {
            let said = [play.peer.frame(0x80 | BINARY, &large), next[..cut].to_vec()].concat();
            let (read, ()) = tokio::join!(play.socket.next(), play.peer.client.say(&said));
            assert!(read.unwrap().unwrap() == large.clone().into());
            // Now it rests.
            assert!(play.socket.next().now_or_never().is_none());
            let mut sent = Box::pin(play.peer.client.say(&next[cut..]));
            let read = tokio::select! {
                read = play.socket.next() => read,
                () = &mut sent => play.socket.next().await,
            };
            assert_eq!(read.unwrap().unwrap(), "one and three".into(), "{cut}");
            let (read, ()) = tokio::join!(play.socket.next(), sent);
            assert!(read.unwrap().unwrap() == large.clone().into());
            assert_eq!(play.peer.hear().await, (PONG, b"two".to_vec()));
            assert!(play.socket.next().now_or_never().is_none());
            let (sent, heard) = tokio::join!(play.socket.send(large.clone().into()), play.peer.hear());
            assert!(sent.is_ok() && heard == (BINARY, large.clone()));
        }
        play.end().await;
    }
}

/// Law 8.
async fn a_peer_that_does_not_read_slows_the_writer(over: Over) {
    for role in ROLES {
        let mut play = Play::open(over, role).await;
        let mut sent = 0;
        loop {
            let sending = tokio::time::timeout(SECOND, play.socket.feed(vec![1; 10_000].into()));
            match sending.await {
                Ok(result) => result.unwrap(),
                Err(_) => break,
            }
            sent += 1;
            assert!(sent < 100, "a megabyte was accepted that nobody has read");
        }
        let hearing = async {
            for _ in 0..sent {
                assert_eq!(play.peer.hear().await.1.len(), 10_000);
            }
        };
        let (flushed, ()) = tokio::join!(play.socket.flush(), hearing);
        flushed.unwrap();
        let (sent, heard) = tokio::join!(play.socket.send("at last".into()), play.peer.hear());
        assert_eq!((sent, heard), (Ok(()), (TEXT, b"at last".to_vec())));
        play.end().await;
    }
}

/// Law 8, and nothing of it is lost.
async fn what_is_not_read_is_not_taken(over: Over) {
    for role in ROLES {
        let mut play = Play::open(over, role).await;
        let mut said = 0;
        while said < 100 {
            match tokio::time::timeout(SECOND, play.peer.say(BINARY, vec![said; 10_000])).await {
                Ok(()) => said += 1,
                Err(_) => break,
            }
        }
        assert!(said < 100, "a megabyte was taken that nobody has read");
        for n in 0..said {
            assert!(play.socket.next().await.unwrap().unwrap() == vec![n; 10_000].into());
        }
        play.end().await;
    }
}

/// One reads and one writes, each with a waker of its own.
async fn two_tasks_share_a_socket(over: Over) {
    for role in ROLES {
        let play = Play::open(over, role).await;
        let (mut sink, mut stream) = play.socket.split();
        let writing = actix::spawn(async move {
            for n in 0..100_u8 {
                sink.send(vec![n; 5_000].into()).await.unwrap();
            }
            sink
        });
        let reading = actix::spawn(async move {
            for n in 0..100_u8 {
                assert!(stream.next().await.unwrap().unwrap() == vec![n; 5_000].into());
            }
            stream
        });
        let mut peer = play.peer;
        for n in 0..100_u8 {
            peer.say(PING, [n]).await;
            peer.say(BINARY, vec![n; 5_000]).await;
            let mut messages = 0;
            while messages == 0 {
                let (opcode, payload) = peer.hear().await;
                if opcode == BINARY {
                    assert!(payload == vec![n; 5_000]);
                    messages += 1;
                }
            }
        }
        let socket = reading.await.unwrap().reunite(writing.await.unwrap()).unwrap();
        drop(socket);
        end(play.supervisor, play.books).await;
    }
}

async fn a_silent_peer_is_asked_and_given_up(over: Over) {
    for role in ROLES {
        let options = WebSocketOptions::new().ping(SECOND * 10, SECOND * 5);
        let mut play = Play::with(over, role, options).await;
        let began = tokio::time::Instant::now();
        let reading = async {
            let read = play.socket.next().await;
            (read, began.elapsed())
        };
        let answering = async {
            assert_eq!(play.peer.hear().await.0, PING);
            assert!(began.elapsed() >= SECOND * 10);
            play.peer.say(PONG, "").await;
            assert_eq!(play.peer.hear().await.0, PING);
        };
        let ((read, elapsed), ()) = tokio::join!(reading, answering);
        assert_eq!(read.unwrap().unwrap_err(), WebSocketError::PingUnanswered(SECOND * 5));
        assert!((SECOND * 25..SECOND * 26).contains(&elapsed), "{elapsed:?}");
        assert!(play.socket.next().await.is_none());
        let closed = play.socket.closed().await;
        assert_eq!((closed.code, closed.clean), (CloseCode::ABNORMAL, false));
        assert_eq!(closed.lost.reason, Reason::Unanswered);
        end(play.supervisor, play.books).await;
    }
}

async fn no_ping_is_sent_while_the_peer_speaks(over: Over) {
    for role in ROLES {
        let options = WebSocketOptions::new().ping(SECOND * 10, SECOND * 5);
        let mut play = Play::with(over, role, options).await;
        for _ in 0..10 {
            tokio::join!(async { play.socket.next().await.unwrap().unwrap() }, async {
                tokio::time::sleep(SECOND * 9).await;
                play.peer.say(TEXT, "here").await;
            });
        }
        // Nor while nobody reads: the answer could not be seen.
        tokio::time::sleep(SECOND * 60).await;
        play.peer.say(TEXT, "here").await;
        settled().await;
        play.socket.next().await.unwrap().unwrap();
        drop(play.socket);
        assert_eq!(play.peer.hear_close().await.0, CloseCode::GOING_AWAY);
        play.peer.leave().await;
        end(play.supervisor, play.books).await;
    }
}
