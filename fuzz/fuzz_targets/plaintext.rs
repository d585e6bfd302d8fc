//! Arbitrary plaintext over a real TLS session to the framed protocols, held against what the bare codec makes of the same bytes.
#![no_main]

use arbitrary::Arbitrary;
use exeunt_fuzz::{stage::*, talk::*};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    codec: Codec,
    side: Side,
    calls: u8,
    together: bool,
    last: Last,
    pieces: Vec<&'a [u8]>,
}

fuzz_target!(|input: Input<'_>| {
    let bytes = input.pieces.concat();
    let calls = usize::from(input.calls % 8);
    let (frames, refused) = reference(input.codec, &bytes, calls, input.last);
    play(async move {
        let outcome = converse(input.codec, input.side, &input.pieces, input.together, calls, input.last).await;
        let answered = outcome.replies.iter().flatten().cloned().collect::<Vec<_>>();
        assert_eq!(answered, frames, "the replies are the frames, in order: {outcome:?}");
        assert_eq!(outcome.refused, refused, "{outcome:?}");
        match (refused, input.last) {
            (Some(_), _) => assert_eq!(outcome.code, "protocol_error"),
            (None, Last::CloseNotify) => assert_eq!(outcome.code, "closed_by_peer"),
            (None, Last::Fin) => assert_eq!(outcome.code, "truncated"),
        }
        assert!(outcome.bytes_in <= bytes.len() as u64);
    });
});
