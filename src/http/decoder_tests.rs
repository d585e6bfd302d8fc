use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use tokio::io::AsyncReadExt;

use super::{super::decode, *};

type Frames = Vec<Result<Frame<Bytes>, BodyError>>;

fn body(frames: Frames) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, BodyError>> + Unpin> {
    StreamBody::new(stream::iter(frames))
}

/// A body of chunks of this size.
fn chunks(bytes: &[u8], size: usize) -> Frames {
    bytes.chunks(size).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect()
}

/// What it decodes to: as far as it goes, and how it ends.
async fn decoded(encoding: Encoding, frames: Frames) -> (Vec<u8>, Result<(), BodyError>) {
    read(Decoder::new(body(frames), encoding, u64::MAX)).await
}

async fn read(mut body: impl Body<Data = Bytes, Error = BodyError> + Unpin) -> (Vec<u8>, Result<(), BodyError>) {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().unwrap_or_default()),
            Err(error) => {
                assert!(body.is_end_stream() && body.frame().await.is_none(), "after an error it is over");
                return (bytes, Err(error));
            }
        }
    }
    (bytes, Ok(()))
}

async fn encoded(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    use async_compression::{Level, tokio::bufread as encoders};
    let mut encoded = Vec::new();
    match encoding {
        #[cfg(feature = "gzip")]
        Encoding::Gzip => encoders::GzipEncoder::with_quality(bytes, Level::Fastest).read_to_end(&mut encoded).await,
        #[cfg(feature = "deflate")]
        Encoding::Deflate => encoders::ZlibEncoder::with_quality(bytes, Level::Fastest).read_to_end(&mut encoded).await,
        #[cfg(feature = "brotli")]
        Encoding::Brotli => {
            encoders::BrotliEncoder::with_quality(bytes, Level::Fastest).read_to_end(&mut encoded).await
        }
        #[cfg(feature = "zstd")]
        Encoding::Zstd => encoders::ZstdEncoder::with_quality(bytes, Level::Fastest).read_to_end(&mut encoded).await,
    }
    .unwrap();
    encoded
}

/// Some text that is not too easy.
fn text(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..length).map(|_| b"etaoin shrdlu\n"[random.usize(..14)]).collect()
}

fn is_decode(result: &Result<(), BodyError>, encoding: Encoding) -> bool {
    matches!(result, Err(BodyError::Decode { encoding: name, .. }) if *name == encoding.name())
}

#[actix::test]
async fn each_encoding_comes_back_with_its_trailers() {
    let text = text(100_000);
    let mut trailers = HeaderMap::new();
    trailers.insert("digest", "x".parse().unwrap());
    for &encoding in Encoding::ALL {
        let encoded = encoded(encoding, &text).await;
        assert!(encoded.len() < text.len());
        for size in [1, 1000, encoded.len()] {
            let mut frames = chunks(&encoded, size);
            frames.push(Ok(Frame::trailers(trailers.clone())));
            let whole = Decoder::new(body(frames), encoding, text.len() as u64).collect().await.unwrap();
            assert_eq!(whole.trailers(), Some(&trailers), "{encoding:?} by {size}");
            assert!(whole.to_bytes() == text, "{encoding:?} by {size}");
        }
    }
}

/// Law 5: no silent truncation.
#[actix::test]
async fn cut_short_anywhere_it_is_an_error() {
    let text = text(600);
    for &encoding in Encoding::ALL {
        let encoded = encoded(encoding, &text).await;
        for length in 1..encoded.len() {
            for size in [1, length] {
                let (bytes, result) = decoded(encoding, chunks(&encoded[..length], size)).await;
                assert!(is_decode(&result, encoding), "{encoding:?} cut at {length}: {result:?}");
                assert!(text.starts_with(&bytes), "{encoding:?} cut at {length}");
            }
        }
    }
}

#[actix::test]
async fn what_follows_the_end_is_an_error() {
    for &encoding in Encoding::ALL {
        let mut encoded = encoded(encoding, b"text").await;
        encoded.extend_from_slice(b"and more");
        for size in [1, encoded.len() - 8, encoded.len()] {
            let (bytes, result) = decoded(encoding, chunks(&encoded, size)).await;
            assert!(is_decode(&result, encoding), "{encoding:?} by {size}: {result:?}");
            assert!(b"text".starts_with(&bytes[..]));
        }
    }
}

#[actix::test]
async fn an_empty_body_is_one_in_every_encoding() {
    for &encoding in Encoding::ALL {
        assert_eq!(decoded(encoding, Vec::new()).await, (Vec::new(), Ok(())));
        assert_eq!(decoded(encoding, vec![Ok(Frame::data(Bytes::new()))]).await, (Vec::new(), Ok(())));
        assert_eq!(decoded(encoding, chunks(&encoded(encoding, b"").await, 1)).await, (Vec::new(), Ok(())));
    }
}

#[actix::test]
async fn noise_is_an_error() {
    for &encoding in Encoding::ALL {
        let (_, result) = decoded(encoding, chunks(b"<html>not what it says</html>", 5)).await;
        assert!(is_decode(&result, encoding), "{encoding:?}: {result:?}");
    }
}

/// Law 8: a bomb costs its reader no more than the limit.
#[actix::test]
async fn a_bomb_stops_at_the_limit() {
    const LIMIT: u64 = 1 << 20;
    for &encoding in Encoding::ALL {
        let bomb = encoded(encoding, &vec![0; 16 << 20]).await;
        assert!(bomb.len() < 1 << 18);
        let (bytes, result) = read(Decoder::new(body(chunks(&bomb, bomb.len())), encoding, LIMIT)).await;
        assert_eq!(result, Err(BodyError::TooLarge { limit: LIMIT }));
        assert!(bytes.len() as u64 <= LIMIT && bytes.len() as u64 + 2 * AT_A_TIME as u64 >= LIMIT);
        let fits = encoded(encoding, &vec![0; LIMIT as usize]).await;
        let (bytes, result) = read(Decoder::new(body(chunks(&fits, 100)), encoding, LIMIT)).await;
        assert_eq!((bytes.len() as u64, result), (LIMIT, Ok(())));
    }
}

/// Law 8: a reader that is slow is waited for.
#[actix::test]
async fn no_more_than_a_buffer_is_decoded_ahead() {
    let text = text(1 << 19);
    for &encoding in Encoding::ALL {
        let encoded = encoded(encoding, &text).await;
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let frames = stream::iter(chunks(&encoded, 1000)).inspect(move |_| {
            count.fetch_add(1, Relaxed);
        });
        let mut decoder = Decoder::new(StreamBody::new(frames), encoding, u64::MAX);
        let first = decoder.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(first.len() <= 2 * AT_A_TIME);
        let before = taken.load(Relaxed);
        // A block of zstd is 128 KiB, and a decoder may have to see all of one before it gives anything.
        assert!(before * 1000 < (160 << 10), "{encoding:?}: {before} frames for the first buffer");
        let all = read(decoder).await.0.len() + first.len();
        assert_eq!(all, text.len());
    }
}

#[actix::test]
async fn what_the_body_suffers_comes_through_as_it_is() {
    let torn = BodyError::Truncated { received: 9, expected: Some(10), reason: None };
    for &encoding in Encoding::ALL {
        let encoded = encoded(encoding, &text(600)).await;
        for length in [0, 1, encoded.len() / 2, encoded.len()] {
            let mut frames = chunks(&encoded[..length], 10);
            frames.push(Err(torn.clone()));
            assert_eq!(decoded(encoding, frames).await.1, Err(torn.clone()), "{encoding:?} at {length}");
        }
    }
}

#[actix::test]
async fn what_was_applied_last_is_undone_first() {
    let text = text(5000);
    let all: Vec<_> = Encoding::ALL.iter().chain(Encoding::ALL).take(5).copied().collect();
    let mut bytes = text.clone();
    for &encoding in &all {
        bytes = encoded(encoding, &bytes).await;
    }
    let (whole, result) = read(decode::around(body(chunks(&bytes, 100)), all, u64::MAX)).await;
    assert!(whole == text && result.is_ok());
}

#[cfg(feature = "gzip")]
#[actix::test]
async fn gzip_may_have_members_and_each_must_be_whole() {
    let one = encoded(Encoding::Gzip, b"one ").await;
    let both = [one.clone(), encoded(Encoding::Gzip, b"two").await].concat();
    assert_eq!(decoded(Encoding::Gzip, chunks(&both, 3)).await, (b"one two".to_vec(), Ok(())));
    for length in one.len() + 1..both.len() {
        let (_, result) = decoded(Encoding::Gzip, chunks(&both[..length], length)).await;
        assert!(is_decode(&result, Encoding::Gzip), "cut at {length}: {result:?}");
    }
    let mut wrong = one.clone();
    wrong[one.len() - 5] ^= 1;
    assert!(
        is_decode(&decoded(Encoding::Gzip, chunks(&wrong, 9)).await.1, Encoding::Gzip),
        "the checksum is looked at"
    );
}

/// Law 7: nothing on a thread waits for a body that gives nothing.
#[cfg(feature = "gzip")]
#[actix::test]
async fn a_decoder_that_gives_nothing_lets_others_have_their_turn() {
    let nothing = Bytes::from(encoded(Encoding::Gzip, b"").await);
    let frames = stream::repeat_with(move || Ok(Frame::data(nothing.clone()))).take(100_000);
    let mut decoder = Decoder::new(StreamBody::new(frames), Encoding::Gzip, u64::MAX);
    let task = actix_rt::spawn(async move { futures_util::FutureExt::now_or_never(decoder.frame()).is_none() });
    assert!(task.await.unwrap(), "it was read to its end in one go");
}

#[cfg(feature = "deflate")]
#[actix::test]
async fn deflate_may_lack_the_header_of_zlib() {
    use async_compression::{Level, tokio::bufread::DeflateEncoder};

    let text = text(600);
    for level in [Level::Precise(0), Level::Fastest, Level::Best] {
        let mut raw = Vec::new();
        DeflateEncoder::with_quality(&text[..], level).read_to_end(&mut raw).await.unwrap();
        assert_eq!(decoded(Encoding::Deflate, chunks(&raw, 1)).await, (text.clone(), Ok(())), "{level:?}");
        for length in 1..raw.len() {
            let (_, result) = decoded(Encoding::Deflate, chunks(&raw[..length], length)).await;
            assert!(is_decode(&result, Encoding::Deflate), "{level:?} cut at {length}: {result:?}");
        }
    }
}

/// Law 8: the peer does not choose how much memory a window takes.
#[cfg(feature = "zstd")]
#[actix::test]
async fn a_window_of_zstd_is_no_larger_than_http_allows() {
    // RFC 8878: the magic number, a descriptor without anything, the window (its logarithm less ten), and one last block, raw and of one byte.
    let frame = |window_log: u8| [0x28, 0xB5, 0x2F, 0xFD, 0x00, (window_log - 10) << 3, 0x09, 0x00, 0x00, b'x'];
    assert_eq!(decoded(Encoding::Zstd, chunks(&frame(23), 10)).await, (b"x".to_vec(), Ok(())));
    let (_, result) = decoded(Encoding::Zstd, chunks(&frame(24), 10)).await;
    assert!(is_decode(&result, Encoding::Zstd), "{result:?}");
    // Frames may follow each other, as members of gzip do.
    let two = [frame(23), frame(23)].concat();
    assert_eq!(decoded(Encoding::Zstd, chunks(&two, 3)).await, (b"xx".to_vec(), Ok(())));
}
