//! A hasher for what is a hash already, or a number that nobody else can choose: a request looks up its key and its place half a dozen times.

use std::hash::{BuildHasherDefault, Hasher};

pub(super) type BuildHashed = BuildHasherDefault<Hashed>;

#[derive(Default)]
pub(super) struct Hashed(u64);

/// 2^64 divided by the golden ratio, so that numbers in a row lie far apart, in the upper bits too.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
