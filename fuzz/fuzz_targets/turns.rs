//! The reader that tells whose turn it is on a connection of hyper-util's client, byte by byte: HTTP/1.1 and HTTP/2.
//!
//! What is held: it does not depend on how the bytes are cut; an exchange that is whole makes it idle, and nothing before that does; a GOAWAY is slipped in only between two frames.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tokio::io::ReadBuf;

/// The library's own file, whose types are for its room alone.
#[path = "../../src/http"]
mod http {
    mod turns;

    pub struct Turns(turns::Turns);

    impl Turns {
        pub fn new(http2: bool) -> Self {
            Turns(turns::Turns::new(http2))
        }

        pub fn say_farewell(&mut self, buf: &mut super::ReadBuf<'_>) -> bool {
            self.0.say_farewell(buf)
        }

        pub fn are_known(&self) -> bool {
            self.0.are_known()
        }

        pub fn pass(&mut self, sent: bool, bytes: &[u8]) {
            if sent {
                self.0.sent(bytes)
            } else {
                self.0.received(bytes)
            }
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// Anything, by either side.
    Anything { http2: bool, pieces: Vec<(bool, &'a [u8])> },
    /// Exchanges that are as they should be.
    Exchanges(Vec<Exchange<'a>>, u8),
}

#[derive(Arbitrary, Debug)]
struct Exchange<'a> {
    head: bool,
    interim: u8,
    no_reason: bool,
    framing: Framing<'a>,
}

#[derive(Arbitrary, Debug)]
enum Framing<'a> {
    Length(&'a [u8]),
    Chunked(Vec<&'a [u8]>, bool),
    /// 204 or 304.
    Without(bool),
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Anything { http2, pieces } => anything(http2, &pieces),
    Input::Exchanges(exchanges, piece) => exchanges_in_turn(&exchanges, usize::from(piece).max(1)),
});

fn farewell(turns: &mut http::Turns) -> (bool, Vec<u8>) {
    let mut bytes = [0; 64];
    let mut buf = ReadBuf::new(&mut bytes);
    let said = turns.say_farewell(&mut buf);
    (said, buf.filled().to_vec())
}

fn anything(http2: bool, pieces: &[(bool, &[u8])]) {
    let (mut whole, mut cut) = (http::Turns::new(http2), http::Turns::new(http2));
    for (sent, bytes) in pieces {
        whole.pass(*sent, bytes);
        bytes.chunks(1).for_each(|byte| cut.pass(*sent, byte));
        assert_eq!(whole.are_known(), cut.are_known(), "it depends on the pieces");
        if !http2 {
            // Saying it changes nothing: it is the end of the stream.
            assert_eq!(farewell(&mut whole), farewell(&mut cut), "it depends on the pieces");
        }
    }
    let said = farewell(&mut whole);
    assert_eq!(said, farewell(&mut cut));
    if http2 {
        let received = pieces.iter().filter(|(sent, _)| !sent).flat_map(|(_, bytes)| bytes.iter().copied());
        assert_eq!(said.0, between_frames(&received.collect::<Vec<u8>>()));
        assert!(!farewell(&mut whole).0 || !said.0, "it is said once");
    }
}

/// RFC 9113, section 4.1. A frame has begun and none is under way.
fn between_frames(mut bytes: &[u8]) -> bool {
    let mut frames = 0;
    while bytes.len() >= 9 {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        let Some(rest) = bytes.get(9 + length..) else { return false };
        bytes = rest;
        frames += 1;
    }
    bytes.is_empty() && frames > 0
}

fn exchanges_in_turn(exchanges: &[Exchange<'_>], piece: usize) {
    let mut turns = http::Turns::new(false);
    assert!(farewell(&mut turns).0);
    for exchange in exchanges.iter().take(8) {
        let method = if exchange.head { "HEAD" } else { "GET" };
        turns.pass(true, format!("{method} / HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes());
        assert!(!farewell(&mut turns).0, "a request is under way");
        let answer = exchange.answer();
        let mut pieces = answer.chunks(piece).peekable();
        while let Some(bytes) = pieces.next() {
            turns.pass(false, bytes);
            let (idle, _) = farewell(&mut turns);
            assert_eq!(idle, pieces.peek().is_none(), "after {bytes:?} of {:?}", String::from_utf8_lossy(&answer));
        }
        assert!(turns.are_known());
    }
}

impl Exchange<'_> {
    fn answer(&self) -> Vec<u8> {
        let mut answer = Vec::new();
        for n in 0..self.interim % 4 {
            let status = [100, 102, 103][usize::from(n % 3)];
            answer.extend(format!("HTTP/1.1 {status} Wait\r\nlink: </x>\r\n\r\n").bytes());
        }
        let reason = if self.no_reason { "" } else { "Fine" };
        let (status, header) = match &self.framing {
            Framing::Length(body) => (200, format!("content-length: {}\r\n", body.len())),
            Framing::Chunked(..) => (200, "Transfer-Encoding: chunked\r\n".to_owned()),
            Framing::Without(true) => (204, String::new()),
            Framing::Without(false) => (304, "content-length: 10\r\n".to_owned()),
        };
        answer.extend(format!("HTTP/1.1 {status} {reason}\r\n{header}\r\n").bytes());
        if self.head {
            return answer;
        }
        match &self.framing {
            Framing::Length(body) => answer.extend_from_slice(body),
            Framing::Chunked(chunks, trailers) => {
                for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                    answer.extend(format!("{:x};a=b\r\n", chunk.len()).bytes());
                    answer.extend_from_slice(chunk);
                    answer.extend_from_slice(b"\r\n");
                }
                answer.extend_from_slice(b"0\r\n");
                if *trailers {
                    answer.extend_from_slice(b"x-trailer: 1\r\n");
                }
                answer.extend_from_slice(b"\r\n");
            }
            Framing::Without(_) => {}
        }
        answer
    }
}
