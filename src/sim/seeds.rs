//! Many runs, and what is told of them.

use std::{
    env, fmt,
    ops::Range,
    time::{Duration, Instant},
};

use super::{Part, Played, Shrunk, Without, World, play, shrink};

/// Which seeds are to be played.
#[derive(Clone, Debug, Default)]
pub struct Seeds {
    /// These.
    pub range: Range<u64>,
    /// What is left out of each plan.
    pub without: Without,
    /// The script of each is printed.
    pub loud: bool,
    /// How the environment variables begin by which a failure says that it can be replayed.
    prefix: String,
}

/// The prefix of the environment variables that [`seeds`] heeds.
const PREFIX: &str = "EXEUNT_SIM";

/// After so many failures nothing is learned from more.
const ENOUGH: usize = 20;

/// So many runs may go into shrinking. Chosen arbitrarily.
const SHRINKING: usize = 1_000;

impl Seeds {
    /// These.
    pub fn of(range: Range<u64>) -> Self {
        Seeds { range, prefix: PREFIX.to_owned(), ..Seeds::default() }
    }

    /// These, unless the environment asks for others: `PREFIX_SEEDS=n` for so many from `PREFIX_BASE` (else from the beginning of the range); `PREFIX_SEED=n` for one, with its script; `PREFIX_WITHOUT=a,b`
    /// for plans without these parts.
    ///
    /// # Errors
    /// What is to be a number is none.
    pub fn from_env(prefix: &str, range: Range<u64>) -> Result<Self, String> {
        let number = |name: &str| match env::var(format!("{prefix}_{name}")) {
            Ok(value) => value.parse().map(Some).map_err(|_| format!("{prefix}_{name} is no number: {value:?}")),
            Err(_) => Ok(None),
        };
        let base = number("BASE")?.unwrap_or(range.start);
        let many = number("SEEDS")?.unwrap_or(range.end.saturating_sub(range.start));
        let one: Option<u64> = number("SEED")?;
        let range = one.map_or(base..base.saturating_add(many), |seed| seed..seed.saturating_add(1));
        let without = env::var(format!("{prefix}_WITHOUT")).as_deref().map_or_else(|_| Without::default(), Into::into);
        Ok(Seeds { range, without, loud: one.is_some(), prefix: prefix.to_owned() })
    }

    /// Plays each, by a function of the seed and of what to leave out. The first that fails is shrunk.
    ///
    /// # Errors
    /// One failed.
    pub fn explore(&self, run: impl Fn(u64, &Without) -> Played) -> Result<Report, Box<Failure>> {
        let began = Instant::now();
        let mut report = Report::default();
        let mut failed = Vec::new();
        let mut first = None;
        for seed in self.range.clone() {
            let played = run(seed, &self.without);
            report.seeds += 1;
            report.lives += played.lives;
            if self.loud {
                played.parts.iter().for_each(|part| println!("{part}"));
                played.script.iter().for_each(|line| println!("{line}"));
            }
            if !played.wrong.is_empty() {
                failed.push(seed);
                first.get_or_insert((seed, played));
            }
            if failed.len() == ENOUGH {
                break;
            }
        }
        report.took = began.elapsed();
        let Some((seed, played)) = first else { return Ok(report) };
        let mut smallest = played.clone();
        let shrunk = shrink(played.parts.clone(), SHRINKING, |more| {
            let without = Without::from(format!("{},{more}", self.without).as_str());
            let again = run(seed, &without);
            // Another failure may be met on the way: it is not the one that is looked for.
            let same = again.wrong.iter().any(|wrong| played.wrong.iter().any(|first| kind(first) == kind(wrong)));
            same.then(|| {
                smallest = again;
                smallest.parts.clone()
            })
        });
        let without = Without::from(format!("{},{}", self.without, shrunk.without).as_str());
        let shrunk = Shrunk { without, ..shrunk };
        Err(Box::new(Failure {
            report,
            failed,
            seed,
            wrong: played.wrong,
            shrunk,
            smallest,
            prefix: self.prefix.clone(),
        }))
    }
}

/// What every failure says is a few words that are the same each time, a colon, and the case.
fn kind(wrong: &str) -> &str {
    wrong.split(':').next().unwrap_or(wrong)
}

/// How many runs it were, and how fast.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Runs.
    pub seeds: u64,
    /// Connections that were admitted and ended.
    pub lives: u64,
    /// By the real clock.
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lives, took) = (self.lives, self.took.as_secs_f64());
        write!(f, "{} seeds, {lives} lifecycles in {took:.1} s: {:.0} a second", self.seeds, lives as f64 / took)
    }
}

/// Seeds that failed, and the least that the first of them can be made to fail with.
#[derive(Clone, Debug)]
pub struct Failure {
    /// How far it went.
    pub report: Report,
    /// All that failed; nobody looks further after twenty.
    pub failed: Vec<u64>,
    /// The first of them.
    pub seed: u64,
    /// What was wrong with it.
    pub wrong: Vec<String>,
    /// What can be left out of its plan, and what is left.
    pub shrunk: Shrunk,
    /// The run of that.
    pub smallest: Played,
    prefix: String,
}

/// So many lines of a script are printed, of its beginning and of its end each: replay it for more.
const LINES: usize = 40;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, shrunk, prefix, .. } = self;
        writeln!(f, "seed {seed} fails:")?;
        self.wrong.iter().try_for_each(|wrong| writeln!(f, "  {wrong}"))?;
        writeln!(f, "{} runs later, it still fails with no more than this:", shrunk.runs)?;
        shrunk.parts.iter().try_for_each(|part: &Part| writeln!(f, "  {part}"))?;
        if self.smallest.wrong != self.wrong {
            writeln!(f, "and then:")?;
            self.smallest.wrong.iter().try_for_each(|wrong| writeln!(f, "  {wrong}"))?;
        }
        let script = &self.smallest.script;
        writeln!(f, "its script:")?;
        let hidden = script.len().saturating_sub(2 * LINES);
        for (n, line) in script.iter().enumerate() {
            match n {
                LINES if hidden > 0 => writeln!(f, "  … {hidden} lines …")?,
                n if hidden > 0 && n > LINES && n < LINES + hidden => {}
                _ => writeln!(f, "{line}")?,
            }
        }
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        writeln!(f, "replay it:   {prefix}_SEED={seed} cargo test {test} -- --nocapture")?;
        writeln!(
            f,
            "the smaller: {prefix}_SEED={seed} {prefix}_WITHOUT='{}' cargo test {test} -- --nocapture",
            shrunk.without
        )?;
        write!(f, "failed of {}: {:?}", self.report, self.failed)
    }
}

impl std::error::Error for Failure {}

/// Plays a scenario with each of these seeds and prints how many lifecycles that were, and how many a second: what a test of a shutdown consists of.
///
/// The environment may ask for others, by the names of [`Seeds::from_env`] with the prefix `EXEUNT_SIM`:
///
/// ```text
/// cargo test my_shutdown                                                   these seeds
/// EXEUNT_SIM_SEEDS=100000 cargo test --release my_shutdown -- --nocapture     more of them
/// EXEUNT_SIM_SEED=17 cargo test my_shutdown -- --nocapture                    one, with its script
/// ```
///
/// # Panics
/// One failed: with the [`Failure`] of the first. That is how a test fails. The environment asks for what is no number.
pub fn seeds<F: Future<Output = ()>>(range: Range<u64>, scenario: impl Fn(World) -> F) {
    let seeds = Seeds::from_env(PREFIX, range);
    let explored = seeds.map(|seeds| seeds.explore(|seed, without| play(seed, without, &scenario)));
    match explored {
        Ok(Ok(report)) => println!("{report}"),
        Ok(Err(failure)) => panic!("{failure}"),
        Err(error) => panic!("{error}"),
    }
}
