//! The dice: one number decides everything.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }

    pub fn size(&mut self, below: usize) -> usize {
        self.below(below as u64) as usize
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.size(from.len())].clone()
    }

    pub fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.below(below))
    }

    /// Small, middling or large, each as often.
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
