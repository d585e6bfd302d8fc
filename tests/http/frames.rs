//! HTTP/2, frame by frame: a peer that says what it is told, and nothing by itself but that it has read our settings.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// RFC 9113, section 6.5.2.
pub const MAX_CONCURRENT_STREAMS: u16 = 3;

#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The number at this place of its payload.
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub struct Frames<S>(pub S);

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// As a server: reads the preface, says its settings.
    pub async fn server(mut stream: S, settings: &[(u16, u32)]) -> Self {
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, PREFACE);
        let mut frames = Frames(stream);
        let settings: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        frames.say(SETTINGS, 0, 0, &settings).await;
        frames
    }

    /// As a client: says its preface and no settings of its own.
    pub async fn client(mut stream: S) -> Self {
        stream.write_all(PREFACE).await.unwrap();
        let mut frames = Frames(stream);
        frames.say(SETTINGS, 0, 0, &[]).await;
        frames
    }

    pub async fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // Whoever is gone hears nothing.
        let _ = self.0.write_all(&frame).await;
        let _ = self.0.flush().await;
    }

    /// `:status: 200`, and the body that follows if there is any.
    pub async fn answer(&mut self, stream: u32, body: &[u8]) {
        self.head(stream).await;
        self.say(DATA, END_STREAM, stream, body).await;
    }

    pub async fn head(&mut self, stream: u32) {
        self.say(HEADERS, END_HEADERS, stream, &[0x88]).await;
    }

    /// `GET /`, by the static table (RFC 7541, appendix A).
    pub async fn ask(&mut self, stream: u32, flags: u8) {
        let mut fields = vec![0x82, 0x84, 0x86, 0x41, 9];
        fields.extend(b"localhost");
        self.say(HEADERS, END_HEADERS | flags, stream, &fields).await;
    }

    pub async fn reset(&mut self, stream: u32, error: u32) {
        self.say(RST_STREAM, 0, stream, &error.to_be_bytes()).await;
    }

    pub async fn go_away(&mut self, last: u32, error: u32) {
        self.say(GOAWAY, 0, 0, &[last.to_be_bytes(), error.to_be_bytes()].concat()).await;
    }

    /// The next frame, settings and window updates aside. `None`: the peer has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.say(SETTINGS, ACK, 0, &[]).await,
                // PRIORITY and WINDOW_UPDATE.
                SETTINGS | 2 | 8 => {}
                _ => return Some(frame),
            }
        }
    }

    /// The next frame of this kind.
    pub async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the peer has ended");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads what still comes, to the end.
    pub async fn until_end(&mut self) {
        while self.next().await.is_some() {}
    }
}
