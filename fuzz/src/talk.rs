//! Scenes that more than one target plays.

use std::sync::Arc;

use actix::Addr;
use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use exeunt::{Adopt, Call, CallError, ConnectError, Framed, Handle, Lines, Lost, Reason, Socket, Supervisor};
use tokio_util::codec::{Decoder, LengthDelimitedCodec, LinesCodec};

use crate::stage::*;

/// A peer that says what the input says, from the first byte on.
pub fn stranger(side: Side, input: &[u8]) {
    let [how, takes, bytes @ ..] = input else { return };
    let end = match how % 3 {
        0 => End::Fin,
        1 => End::Reset,
        _ => End::Silence,
    };
    let chunks = match how / 3 % 5 {
        0 => bytes.chunks(usize::MAX).map(<[u8]>::to_vec).collect(),
        1 => bytes.chunks(1).map(<[u8]>::to_vec).collect(),
        2 => bytes.chunks(5).map(<[u8]>::to_vec).collect(),
        3 => bytes.chunks(100).map(<[u8]>::to_vec).collect(),
        // The record's header apart from the rest.
        _ => bytes.split_at_checked(5).map(|(a, b)| [a.to_vec(), b.to_vec()].into()).unwrap_or_default(),
    };
    // Up to a flight of ours and more; 255 is no bound.
    let takes = if *takes == 255 { usize::MAX } else { usize::from(*takes) * 16 };
    let feed = Feed { chunks, end, takes, waits: false };
    play(async {
        let (supervisor, books) = supervise();
        let (witness, seen) = Witness::new(Manner::Sink);
        let adopt = match side {
            Side::Client => Adopt::client(Socket::boxed(feed), "localhost", client_tls(), witness),
            Side::Server => Adopt::server(Socket::boxed(feed), "stranger", server_tls(), witness),
        };
        let answer = supervisor.send(adopt).await.unwrap();
        let ledger = exeunt(supervisor, books).await;
        let lost = assert_end(&seen.lock().unwrap());
        match answer {
            Err(ConnectError::Lost(told)) => assert_eq!(*told, lost, "who asked is told the same"),
            other => panic!("nobody can shake hands without a key: {other:?}"),
        }
        assert!(matches!(lost.reason, Reason::HandshakeFailed(_) | Reason::TimedOut(_)), "{lost:?}");
        assert_eq!((ledger.totals.connected, ledger.rows.len()), (0, 0), "it had ended before the stop");
    });
}

/// The codecs that are tried.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Lines,
    /// No line longer than so many bytes.
    ShortLines(u8),
    Lengths,
    /// Lengths of a byte, and frames of up to so many.
    ShortLengths(u8),
}

impl Codec {
    fn lines(self) -> LinesCodec {
        match self {
            Codec::ShortLines(most) => LinesCodec::new_with_max_length(usize::from(most)),
            _ => LinesCodec::new(),
        }
    }

    fn lengths(self) -> LengthDelimitedCodec {
        match self {
            Codec::ShortLengths(most) => {
                LengthDelimitedCodec::builder().length_field_length(1).max_frame_length(usize::from(most)).new_codec()
            }
            _ => LengthDelimitedCodec::new(),
        }
    }
}

/// How a talk is ended by the peer.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    CloseNotify,
    Fin,
}

/// What came of a talk: the replies in the order of the calls, and the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub replies: Vec<Option<Vec<u8>>>,
    /// In the words of the protocol, when it refused.
    pub refused: Option<String>,
    pub code: &'static str,
    pub bytes_in: u64,
}

/// What a codec makes of the bytes as one piece: the frames, and what it says against the rest.
pub fn reference(codec: Codec, bytes: &[u8], calls: usize, last: Last) -> (Vec<Vec<u8>>, Option<String>) {
    match codec {
        Codec::Lines | Codec::ShortLines(_) => decode(codec.lines(), bytes, calls, last, String::into_bytes),
        Codec::Lengths | Codec::ShortLengths(_) => decode(codec.lengths(), bytes, calls, last, |frame| frame.to_vec()),
    }
}

fn decode<C: Decoder>(
    mut codec: C,
    bytes: &[u8],
    calls: usize,
    last: Last,
    plain: fn(C::Item) -> Vec<u8>,
) -> (Vec<Vec<u8>>, Option<String>)
where
    C::Error: std::fmt::Display,
{
    let (mut buffer, mut frames) = (BytesMut::from(bytes), Vec::new());
    let mut at_end = false;
    loop {
        match if at_end { codec.decode_eof(&mut buffer) } else { codec.decode(&mut buffer) } {
            Ok(Some(_)) if frames.len() == calls => {
                return (frames, Some("the peer sent a frame that no call had asked for".to_owned()))
            }
            Ok(Some(frame)) => frames.push(plain(frame)),
            // A truncated stream ends no frame (law 5).
            Ok(None) if at_end || last == Last::Fin => return (frames, None),
            Ok(None) => at_end = true,
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
}

/// Asks so many calls, lets the peer answer with these pieces, and says what came of it.
pub async fn converse(codec: Codec, side: Side, pieces: &[&[u8]], together: bool, calls: usize, last: Last) -> Outcome {
    match codec {
        Codec::Lines | Codec::ShortLines(_) => {
            let protocol: Lines = Framed::new(codec.lines());
            let scene = Scene::open(protocol, side).await;
            let asked: Vec<_> = (0..calls).map(|_| scene.connection.send(Call::new("?"))).collect();
            scene.end(asked, |line: String| line.into_bytes(), pieces, together, last).await
        }
        Codec::Lengths | Codec::ShortLengths(_) => {
            let scene = Scene::open(Framed::new(codec.lengths()), side).await;
            let asked: Vec<_> = (0..calls).map(|_| scene.connection.send(Call::new(Bytes::new()))).collect();
            scene.end(asked, |frame: BytesMut| frame.to_vec(), pieces, together, last).await
        }
    }
}

struct Scene<P: exeunt::Protocol> {
    supervisor: Addr<Supervisor>,
    books: exeunt::Books,
    connection: Handle<P>,
    peer: RawPeer,
}

impl<P: exeunt::Protocol> Scene<P> {
    async fn open(protocol: P, side: Side) -> Self {
        let (supervisor, books) = supervise();
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let adopt = match side {
            Side::Client => Adopt::client(Socket::boxed(ours), "localhost", client_tls(), protocol),
            Side::Server => Adopt::server(Socket::boxed(ours), "pipe", server_tls(), protocol),
        };
        let mut peer = RawPeer::new(side, Version::Tls13, theirs);
        let (connection, ()) = tokio::join!(supervisor.send(adopt), peer.shake_hands());
        Scene { supervisor, books, connection: connection.unwrap().unwrap(), peer }
    }

    async fn end<T, F>(
        mut self,
        asked: Vec<F>,
        plain: fn(T) -> Vec<u8>,
        pieces: &[&[u8]],
        together: bool,
        last: Last,
    ) -> Outcome
    where
        F: std::future::Future<Output = Result<Result<T, CallError>, exeunt::Ended>>,
    {
        // All calls are asked before the first answer comes.
        settle().await;
        for piece in pieces {
            // The pipe is deep enough, and what is refused is read all the same.
            assert!(self.peer.write(piece).await, "the connection does not read");
            if !together {
                settle().await;
            }
        }
        match last {
            Last::CloseNotify => assert!(self.peer.close_notify().await),
            Last::Fin => self.peer.fin().await,
        }
        settle().await;
        let mut replies = Vec::new();
        let mut told: Option<Arc<Lost>> = None;
        drop(self.peer);
        for asked in asked {
            match asked.await {
                Ok(Ok(reply)) => {
                    assert!(told.is_none(), "a call was answered that came after one that was not");
                    replies.push(Some(plain(reply)));
                }
                Ok(Err(CallError::Lost { lost, written })) => {
                    assert!(written, "the peer's pipe has room for every call");
                    assert!(told.as_ref().is_none_or(|told| **told == *lost), "two calls are told two ends");
                    told = Some(Arc::new(*lost));
                    replies.push(None);
                }
                other => panic!("a call is answered or told the end: {:?}", other.map(|answer| answer.map(plain))),
            }
        }
        let lost = self.connection.close().await;
        assert!(told.is_none_or(|told| *told == lost));
        drop(self.connection);
        exeunt(self.supervisor, self.books).await;
        let refused = match &lost.reason {
            Reason::Protocol(words) => Some(words.clone()),
            _ => None,
        };
        Outcome { replies, refused, code: lost.reason.code(), bytes_in: lost.bytes_in }
    }
}
