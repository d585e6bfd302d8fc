//! Whose turn it is, whatever the pieces in which the bytes come.

use tokio::io::ReadBuf;

use super::Turns;

fn is_idle(turns: &mut Turns) -> bool {
    turns.say_farewell(&mut ReadBuf::new(&mut []))
}

/// Says all of this in pieces of so many bytes. After each message: whether the connection is idle.
fn play(messages: &[(bool, &[u8])], piece: usize) -> Vec<bool> {
    let mut turns = Turns::new(false);
    assert!(is_idle(&mut turns), "at the beginning");
    let mut idle = Vec::new();
    for (sent, bytes) in messages {
        let mut pieces = bytes.chunks(piece).peekable();
        while let Some(bytes) = pieces.next() {
            if *sent {
                turns.sent(bytes)
            } else {
                turns.received(bytes)
            }
            assert!(pieces.peek().is_none() || !is_idle(&mut turns), "idle before the end of {bytes:?}");
        }
        idle.push(is_idle(&mut turns));
    }
    idle
}

/// Whether the connection is idle after a request and what came for it.
fn exchange(request: &str, answer: &str) -> bool {
    let messages: &[(bool, &[u8])] = &[(true, request.as_bytes()), (false, answer.as_bytes())];
    let idle: Vec<_> = [1, 2, 3, 7, 4096]
        .into_iter()
        .map(|piece| {
            let idle = play(messages, piece);
            assert!(!idle[0], "a request that is not answered is under way");
            if idle[1] {
                assert_eq!(play(&[messages, messages].concat(), piece), [false, true, false, true]);
            }
            idle[1]
        })
        .collect();
    assert!(idle.iter().all(|now| *now == idle[0]), "it depends on the pieces: {idle:?}");
    idle[0]
}

#[test]
fn an_answer_that_is_whole_makes_it_idle() {
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\nA;ext=\"1\"\r\n0123456789\r\n00\r\ntrailer: x\r\n\r\n",
    ] {
        assert!(exchange(get, answer), "{answer}");
    }
    assert!(exchange("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"));
    assert!(exchange("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
}

#[test]
fn what_is_not_whole_or_not_understood_is_not_idle() {
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end of the connection",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "not HTTP at all\r\n\r\n",
    ] {
        assert!(!exchange(get, answer), "{answer}");
    }
    assert!(!exchange("CONNECT a:1 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"));
    // Bytes that nobody asked for.
    assert_eq!(play(&[(false, b"HTTP/1.1 408 Request Timeout\r\n\r\n")], 4096), [false]);
}

/// A farewell fits between two frames, not before the first one, and is said once, in however small pieces it is read.
#[test]
fn go_away_is_said_between_frames() {
    let frames: Vec<u8> = [6u8, 0, 20]
        .iter()
        .flat_map(|n| [&[0, 0, *n, 4, 0, 0, 0, 0, 0], &vec![1; usize::from(*n)][..]].concat())
        .collect();
    let ends = [15, 24, 53];
    for room in [1, 5, 17, 100] {
        let mut turns = Turns::new(true);
        let mut said = Vec::new();
        let mut say = |turns: &mut Turns| {
            let mut piece = vec![0; room];
            let mut buf = ReadBuf::new(&mut piece);
            let says = turns.say_farewell(&mut buf);
            said.extend_from_slice(buf.filled());
            says
        };
        assert!(!say(&mut turns), "before the peer's settings");
        for (n, byte) in frames.iter().enumerate() {
            turns.received(&[*byte]);
            assert!(ends.contains(&(n + 1)) || !say(&mut turns), "inside a frame");
        }
        while say(&mut turns) {}
        assert_eq!(said, [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    }
}
