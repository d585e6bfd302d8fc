//! The decoders of `Content-Encoding`.
//!
//! What is held: it does not depend on how the body is cut; what was encoded comes out as it was; what is cut short is an error; no more comes out than the limit; it ends.
#![no_main]

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use arbitrary::Arbitrary;
use async_compression::tokio::write::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use bytes::Bytes;
use exeunt::http::{decoded_for_fuzzing, BodyError};
use futures_util::{stream, FutureExt};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncWriteExt;

/// What bodies may decode to.
const LIMIT: u64 = 64 * 1024;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// Any bytes, in any encodings.
    Anything { encodings: Vec<Encoding>, body: &'a [u8], piece: u8 },
    /// What was encoded, whole and cut short.
    Encoded { encoding: Encoding, repeats: u8, body: &'a [u8], cut: u16, piece: u8 },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Encoding {
    Gzip,
    Deflate,
    RawDeflate,
    Brotli,
    Zstd,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Deflate | Encoding::RawDeflate => "deflate",
            Encoding::Brotli => "br",
            Encoding::Zstd => "zstd",
        }
    }

    fn encode(self, body: &[u8]) -> Vec<u8> {
        macro_rules! by {
            ($encoder:ident) => {{
                let mut encoder = $encoder::new(Vec::new());
                let done = async {
                    encoder.write_all(body).await.unwrap();
                    encoder.shutdown().await.unwrap();
                };
                // It writes to memory, and so never waits.
                done.now_or_never().unwrap();
                encoder.into_inner()
            }};
        }
        match self {
            Encoding::Gzip => by!(GzipEncoder),
            Encoding::Deflate => by!(ZlibEncoder),
            Encoding::RawDeflate => by!(DeflateEncoder),
            Encoding::Brotli => by!(BrotliEncoder),
            Encoding::Zstd => by!(ZstdEncoder),
        }
    }
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Anything { encodings, body, piece } => {
        let names: Vec<_> = encodings.iter().take(5).map(|encoding| encoding.name()).collect();
        let names = names.join(", ");
        let (cut, whole) = (decode(&names, body, usize::from(piece).max(1)), decode(&names, body, usize::MAX));
        assert_eq!(cut.is_ok(), whole.is_ok(), "it depends on the pieces: {cut:?} {whole:?}");
        if let (Ok(cut), Ok(whole)) = (cut, whole) {
            assert!(cut == whole, "it depends on the pieces");
            assert!(names.is_empty() || whole.len() as u64 <= LIMIT);
        }
    }
    Input::Encoded { encoding, repeats, body, cut, piece } => {
        let body = body.repeat(usize::from(repeats % 16) + 1);
        let (encoded, piece) = (encoding.encode(&body), usize::from(piece).max(1));
        match decode(encoding.name(), &encoded, piece) {
            Ok(decoded) => assert!(decoded == body, "{} bytes became {}", body.len(), decoded.len()),
            Err(BodyError::TooLarge { limit: LIMIT }) => assert!(body.len() as u64 > LIMIT),
            // Without its wrapper, deflate that happens to look as if it had one is taken to have one: as browsers do.
            Err(error) => assert!(matches!(encoding, Encoding::RawDeflate), "{error}"),
        }
        let short = &encoded[..usize::from(cut) % encoded.len().max(1)];
        if !short.is_empty() {
            let decoded = decode(encoding.name(), short, piece);
            assert!(decoded.is_err(), "{} of {} bytes pass for whole", short.len(), encoded.len());
        }
    }
});

fn decode(encodings: &str, body: &[u8], piece: usize) -> Result<Vec<u8>, BodyError> {
    let pieces: Vec<_> = body.chunks(piece.min(body.len().max(1))).map(Bytes::copy_from_slice).collect();
    let frames = stream::iter(pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
    let body = StreamBody::new(frames).map_err(|never| match never {});
    let mut collected = pin!(decoded_for_fuzzing(body, encodings, LIMIT).collect());
    let mut cx = Context::from_waker(Waker::noop());
    // Everything is there: it waits only to let others have their turn.
    for _ in 0..100_000 {
        if let Poll::Ready(result) = collected.as_mut().poll(&mut cx) {
            return result.map(|body| body.to_bytes().to_vec());
        }
    }
    panic!("it does not end");
}
