//! An arbitrary stream of records, from the first byte on, against a connection that is the client of the handshake.
//!
//! The input: a byte that says how it ends and how it is cut, one that says how much the socket takes, then what comes.
#![no_main]

use exeunt_fuzz::{stage::Side, talk::stranger};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| stranger(Side::Client, input));
