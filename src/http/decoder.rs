//! A body decoded, as it comes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

#[cfg(feature = "brotli")]
use async_compression::tokio::bufread::BrotliDecoder;
#[cfg(feature = "gzip")]
use async_compression::tokio::bufread::GzipDecoder;
#[cfg(feature = "deflate")]
use async_compression::tokio::bufread::{DeflateDecoder, ZlibDecoder};
#[cfg(feature = "zstd")]
use async_compression::{tokio::bufread::ZstdDecoder, zstd::DParameter};
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{decode::Encoding, incoming::BodyError};

/// How much is decoded at a time. Chosen arbitrarily: a read of a socket, and what a TLS record holds.
const AT_A_TIME: usize = 16 * 1024;

/// The window that an encoder of zstd may count on: 8 MiB, and no more is allowed (RFC 9659). Without the limit a few bytes of the peer's would cost 128 MiB.
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_LOG: u32 = 23;

/// A body decoded: one frame of the peer's is taken when all of the one before is used up, and decoded one buffer at a time.
///
/// The encoded data has to end where the body ends. If it ends later, it was cut short; if it ends earlier, what follows is nobody's: both are errors. (For gzip and zstd further members may follow, which are decoded,
/// too.) An empty body is one whatever its encoding: servers send that, and it is not worth a failure.
pub(super) struct Decoder<B> {
    state: State<B>,
    encoding: Encoding,
    buffer: BytesMut,
    /// How much more may come of it.
    left: u64,
    limit: u64,
}

enum State<B> {
    /// Nothing has come.
    New(Source<B>),
    Decoding(Reader<B>),
    /// What was encoded has ended, and the body has to.
    Ending(Source<B>),
    Over,
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Decoder<B> {
    pub(super) fn new(body: B, encoding: Encoding, limit: u64) -> Self {
        let source = Source { body, frame: Bytes::new(), trailers: None };
        Decoder { state: State::New(source), encoding, buffer: BytesMut::new(), left: limit, limit }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        loop {
            match &mut self.state {
                State::New(source) => {
                    let first = ready!(source.poll_first(cx))?;
                    let State::New(source) = std::mem::replace(&mut self.state, State::Over) else { continue };
                    self.state = match first {
                        Some(first) => State::Decoding(Reader::new(self.encoding, first, source)),
                        None => State::Ending(source),
                    };
                }
                State::Decoding(reader) => {
                    self.buffer.reserve(AT_A_TIME);
                    let polled = reader.poll_read(cx, &mut self.buffer);
                    let length = ready!(polled).map_err(|error| failed(error, self.encoding))?;
                    if length > 0 {
                        self.left =
                            self.left.checked_sub(length as u64).ok_or(BodyError::TooLarge { limit: self.limit })?;
                        return Poll::Ready(Ok(Some(Frame::data(self.buffer.split().freeze()))));
                    }
                    if let State::Decoding(reader) = std::mem::replace(&mut self.state, State::Over) {
                        self.state = State::Ending(reader.into_source());
                    }
                }
                State::Ending(source) => {
                    if ready!(source.poll_first(cx))?.is_some() {
                        let words = "more follows after its end".to_owned();
                        return Poll::Ready(Err(BodyError::Decode { encoding: self.encoding.name(), words }));
                    }
                    let trailers = source.trailers.take();
                    self.state = State::Over;
                    return Poll::Ready(Ok(trailers.map(Frame::trailers)));
                }
                State::Over => return Poll::Ready(Ok(None)),
            }
        }
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for Decoder<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let result = ready!(self.poll(cx));
        if result.is_err() {
            self.state = State::Over;
        }
        Poll::Ready(result.transpose())
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }
}

/// An error of the body under the decoder comes through it as it is.
fn failed(error: io::Error, encoding: Encoding) -> BodyError {
    error.downcast::<BodyError>().unwrap_or_else(|error| {
        let words = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
            _ => error.to_string(),
        };
        BodyError::Decode { encoding: encoding.name(), words }
    })
}

/// The bytes of a body, for a decoder.
struct Source<B> {
    body: B,
    /// What is left of the frame that came last.
    frame: Bytes,
    trailers: Option<HeaderMap>,
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Source<B> {
    /// The first byte that is not used up. `None`: the body has ended.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<u8>, BodyError>> {
        while self.frame.is_empty() {
            // A decoder may ask again and again without giving anything: others on this thread have to have their turn.
            let turn = ready!(tokio::task::coop::poll_proceed(cx));
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            turn.made_progress();
            match frame.transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.frame = data,
                Some(Err(other)) => self.trailers = other.into_trailers().ok(),
                None => return Poll::Ready(Ok(None)),
            }
        }
        Poll::Ready(Ok(self.frame.first().copied()))
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> AsyncBufRead for Source<B> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_first(cx)).map_err(io::Error::other)?;
        Poll::Ready(Ok(&this.frame))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.frame.advance(amount);
    }
}

/// A decoder asks for it of what it reads from, and does not use it.
impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> AsyncRead for Source<B> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let length = bytes.len().min(buffer.remaining());
        buffer.put_slice(&bytes[..length]);
        self.consume(length);
        Poll::Ready(Ok(()))
    }
}

enum Reader<B> {
    #[cfg(feature = "gzip")]
    Gzip(GzipDecoder<Source<B>>),
    #[cfg(feature = "deflate")]
    Zlib(ZlibDecoder<Source<B>>),
    #[cfg(feature = "deflate")]
    Deflate(DeflateDecoder<Source<B>>),
    #[cfg(feature = "brotli")]
    Brotli(BrotliDecoder<Source<B>>),
    #[cfg(feature = "zstd")]
    Zstd(ZstdDecoder<Source<B>>),
}

/// Does the same with whichever decoder it is.
macro_rules! each {
    ($reader:expr, $decoder:ident => $what:expr) => {
        match $reader {
            #[cfg(feature = "gzip")]
            Reader::Gzip($decoder) => $what,
            #[cfg(feature = "deflate")]
            Reader::Zlib($decoder) => $what,
            #[cfg(feature = "deflate")]
            Reader::Deflate($decoder) => $what,
            #[cfg(feature = "brotli")]
            Reader::Brotli($decoder) => $what,
            #[cfg(feature = "zstd")]
            Reader::Zstd($decoder) => $what,
        }
    };
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Reader<B> {
    /// `first` is the first byte. Some servers send `deflate` without the zlib header that HTTP wants: a header's low four bits are 8 (RFC 1950), and a deflate stream of its own cannot begin so, unless somebody has
    /// filled the padding of a stored block.
    #[cfg_attr(not(feature = "deflate"), expect(unused_variables))]
    fn new(encoding: Encoding, first: u8, source: Source<B>) -> Self {
        match encoding {
            #[cfg(feature = "gzip")]
            Encoding::Gzip => {
                let mut decoder = GzipDecoder::new(source);
                decoder.multiple_members(true);
                Reader::Gzip(decoder)
            }
            #[cfg(feature = "deflate")]
            Encoding::Deflate if first & 0x0F == 8 => Reader::Zlib(ZlibDecoder::new(source)),
            #[cfg(feature = "deflate")]
            Encoding::Deflate => Reader::Deflate(DeflateDecoder::new(source)),
            #[cfg(feature = "brotli")]
            Encoding::Brotli => Reader::Brotli(BrotliDecoder::new(source)),
            #[cfg(feature = "zstd")]
            Encoding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(source, &[window]);
                decoder.multiple_members(true);
                Reader::Zstd(decoder)
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        each!(self, decoder => poll_read_buf(Pin::new(decoder), cx, buffer))
    }

    fn into_source(self) -> Source<B> {
        each!(self, decoder => decoder.into_inner())
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
