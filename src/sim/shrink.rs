//! Shrinking: of a plan that fails, leave out what it can do without.

use std::{collections::BTreeSet, fmt};

/// Something that a plan is made of and can be left out: its key, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name, without spaces and commas: it stays the same when others are left out.
    pub key: String,
    /// What it is, for people.
    pub what: String,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what.is_empty() {
            true => f.write_str(&self.key),
            false => write!(f, "{}: {}", self.key, self.what),
        }
    }
}

/// The keys of what is left out. Printed and parsed with commas between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without(BTreeSet<String>);

impl Without {
    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Without {
    fn from(keys: &str) -> Self {
        Without(keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect())
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, key) in self.0.iter().enumerate() {
            write!(f, "{}{key}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// What a plan's parts go through: it lets none pass that is left out, and writes down the others.
///
/// A plan offers all that it is made of, in an order and with keys that its seed decides. A part that contains others is asked for first, and they only if it stays.
#[derive(Debug, Default)]
pub struct Sieve {
    without: Without,
    place: String,
    parts: Vec<Part>,
}

impl Sieve {
    /// One that leaves these out.
    pub fn new(without: Without) -> Self {
        Sieve { without, ..Sieve::default() }
    }

    /// Whether this part stays.
    pub fn keeps(&mut self, key: &str, what: impl fmt::Debug) -> bool {
        let key = format!("{}{key}", self.place).replace([' ', ','], "_");
        let stays = !self.without.0.contains(&key);
        if stays {
            self.parts.push(Part { key, what: format!("{what:?}") });
        }
        stays
    }

    /// What is done with the sieve meanwhile is part of something: its keys begin with this one.
    pub fn within<T>(&mut self, key: &str, sift: impl FnOnce(&mut Sieve) -> T) -> T {
        let place = format!("{}{key}/", self.place);
        let outer = std::mem::replace(&mut self.place, place);
        let sifted = sift(self);
        self.place = outer;
        sifted
    }

    /// Something that is there or not.
    pub fn option<T: fmt::Debug>(&mut self, key: &str, option: &mut Option<T>) {
        if option.as_ref().is_some_and(|value| !self.keeps(key, value)) {
            *option = None;
        }
    }

    /// Something that has a value without any effect.
    pub fn value<T: fmt::Debug + PartialEq>(&mut self, key: &str, value: &mut T, nothing: T) {
        if *value != nothing && !self.keeps(key, &*value) {
            *value = nothing;
        }
    }

    /// Several things, each of which may be left out.
    pub fn list<T: fmt::Debug>(&mut self, key: &str, list: &mut Vec<T>) {
        let mut n = 0..;
        list.retain(|value| self.keeps(&format!("{key}{}", n.next().unwrap_or(0)), value));
    }

    /// What has passed.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// What is left of a plan that failed.
#[derive(Clone, Debug, Default)]
pub struct Shrunk {
    /// What it can do without.
    pub without: Without,
    /// What it cannot do without, and still fail.
    pub parts: Vec<Part>,
    /// How many runs that took.
    pub runs: usize,
}

/// Leaves out of a failing plan what it can, first in large pieces and then one by one, in `most` runs at most. `fails` plays the plan without these and answers, if it still fails, what it was made of.
///
/// What is found is a least one in the sense that nothing more can be left out alone (delta debugging: Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input"). Values are not made
/// smaller.
///
/// ```
/// use exeunt::sim::{Sieve, shrink};
///
/// // Fails if 3 and 5 are both there.
/// let plan = |sieve: &mut Sieve| {
///     let mut numbers = vec![1, 2, 3, 4, 5, 6];
///     sieve.list("number", &mut numbers);
///     numbers
/// };
/// let mut all = Sieve::default();
/// plan(&mut all);
/// let shrunk = shrink(all.parts().to_vec(), 100, |without| {
///     let mut sieve = Sieve::new(without.clone());
///     let numbers = plan(&mut sieve);
///     (numbers.contains(&3) && numbers.contains(&5)).then(|| sieve.parts().to_vec())
/// });
/// assert_eq!(shrunk.without.to_string(), "number0,number1,number3,number5");
/// ```
pub fn shrink(parts: Vec<Part>, most: usize, mut fails: impl FnMut(&Without) -> Option<Vec<Part>>) -> Shrunk {
    let mut shrunk = Shrunk { without: Without::default(), parts, runs: 0 };
    let mut size = shrunk.parts.len();
    while size > 0 {
        let mut smaller = false;
        let keys: Vec<String> = shrunk.parts.iter().map(|part| part.key.clone()).collect();
        for piece in keys.chunks(size) {
            let mut without = shrunk.without.clone();
            // Some may have gone with another that contained them.
            let there = |key: &&String| shrunk.parts.iter().any(|part| part.key == **key);
            without.0.extend(piece.iter().filter(there).cloned());
            if without == shrunk.without {
                continue;
            }
            if shrunk.runs == most {
                return shrunk;
            }
            shrunk.runs += 1;
            if let Some(parts) = fails(&without) {
                (shrunk.without, shrunk.parts, smaller) = (without, parts, true);
            }
        }
        size = match (size, smaller) {
            (1, false) => 0,
            (1, true) => 1,
            (size, _) => size / 2,
        };
    }
    shrunk
}
