//! The same bytes cut in two ways come to the same frames and the same end.
#![no_main]

use arbitrary::Arbitrary;
use exeunt_fuzz::{stage::*, talk::*};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    codec: Codec,
    calls: u8,
    last: Last,
    cuts: [[u8; 6]; 2],
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let calls = usize::from(input.calls % 8);
    play(async move {
        let mut outcomes = Vec::new();
        for cuts in input.cuts {
            let pieces = cut(input.bytes, cuts);
            outcomes.push(converse(input.codec, Side::Client, &pieces, false, calls, input.last).await);
        }
        let [one, other] = &outcomes[..] else { unreachable!() };
        // How much was read when the protocol refused depends on the cuts, and only then.
        assert!(one.bytes_in == other.bytes_in || one.refused.is_some(), "{outcomes:?}");
        assert_eq!((&one.replies, &one.refused, one.code), (&other.replies, &other.refused, other.code));
    });
});

/// Pieces of these lengths, and the rest.
fn cut(mut bytes: &[u8], lengths: [u8; 6]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = bytes.split_at(bytes.len().min(length.into()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}
