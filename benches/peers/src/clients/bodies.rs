//! A long body of a known length, the same for every client.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};

/// 64 KB at a time, of memory that is there already.
pub struct Pieces {
    left: u64,
}

static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

impl Pieces {
    pub fn new(bytes: u64) -> Self {
        Pieces { left: bytes }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let n = self.left.min(PIECE.len() as u64);
        self.left -= n;
        (n > 0).then(|| Bytes::from_static(&PIECE[..n as usize]))
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next().map(Ok))
    }
}

/// Reads a body to its end without keeping it, and says whether it was as long as it should be.
pub async fn swallow<B>(mut body: B, bytes: u64) -> crate::Result<()>
where
    B: Body + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B::Data: bytes::Buf,
{
    use bytes::Buf;
    use http_body_util::BodyExt;
    let mut came = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| -> Box<dyn std::error::Error> { error.into() })?;
        came += frame.data_ref().map_or(0, |data| data.remaining() as u64);
    }
    is_whole(came, bytes)
}

pub fn is_whole(came: u64, bytes: u64) -> crate::Result<()> {
    match came == bytes {
        true => Ok(()),
        false => Err(format!("a body of {came} bytes came where {bytes} were asked for").into()),
    }
}
