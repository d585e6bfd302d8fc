//! The dice: one number decides everything.

use std::{ops::Range, time::Duration};

/// Numbers that look random and hang on the seed alone. Not for secrets.
///
/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of their own for each name: what is thrown with them changes nothing for the others.
    pub fn named(seed: u64, name: &str) -> Self {
        // FNV-1a: the standard library's hashers do not promise to be the same in its next version.
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Dice(mix(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)) ^ mix(hash))
    }

    /// Dice that fall the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `n`; 0 if that is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }

    /// The same for sizes.
    pub fn size(&mut self, below: usize) -> usize {
        self.below(below as u64) as usize
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these.
    ///
    /// # Panics
    /// There is none.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.size(from.len())].clone()
    }

    /// Whole milliseconds, fewer than so many.
    pub fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.below(below))
    }

    /// A moment in this range, to the millisecond.
    pub fn moment(&mut self, within: Range<Duration>) -> Duration {
        let span = within.end.saturating_sub(within.start).as_millis();
        within.start + self.millis(u64::try_from(span).unwrap_or(u64::MAX))
    }

    /// A number of bytes, from 1 to 90,000: small, middling and large ones each as often.
    pub fn bytes(&mut self) -> usize {
        match self.below(4) {
            0 => 1 + self.size(16),
            1 => 1 + self.size(1500),
            2 => 1 + self.size(20_000),
            _ => 1 + self.size(90_000),
        }
    }
}

/// A die that is thrown by a moment and not by its turn: what is asked twice is answered alike, and how often it is asked changes nothing.
pub fn at(seed: u64, moment: u64) -> u64 {
    mix(mix(seed ^ 0x5707_4D5E_ED00_0000).wrapping_add(moment.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Bytes that are told apart by who sent them, as their how manieth write, and where in it they stand.
pub fn pattern(who: usize, n: usize, len: usize) -> bytes::Bytes {
    (0..len).map(|i| (i * 7 + n * 131 + who * 29 + (i >> 8) * 13) as u8).collect()
}
