//! The command line: what was asked for, or one sentence about what is wrong with it.

use std::{
    fmt::Display,
    io::{self, Write},
    ops::RangeInclusive,
    process::ExitCode,
    str::FromStr,
};

use tracing_subscriber::EnvFilter;

/// A program that ends before it has spoken to anybody.
pub enum Early {
    /// `--help`: this text, and success.
    Help(&'static str),
    /// Bad input: this sentence, and exit code 2.
    Wrong(String),
}

impl Early {
    pub fn wrong(sentence: impl Into<String>) -> Self {
        Early::Wrong(sentence.into())
    }
}

impl<E: std::error::Error> From<E> for Early {
    fn from(error: E) -> Self {
        Early::Wrong(error.to_string())
    }
}

/// The exit code of bad input.
pub const WRONG: u8 = 2;

/// That of an application that failed, as `Run` has it.
const FAILED: u8 = 3;

/// What a program ends with where something failed that no ledger tells of. A stop that comes before an application has ended leaves its error out of [`Run`](exeunt::Run)'s code; how that stop went counts first.
pub fn or_failed(code: ExitCode, failed: bool) -> ExitCode {
    if failed && code == ExitCode::SUCCESS { ExitCode::from(FAILED) } else { code }
}

/// What `main` returns.
pub fn finish(result: Result<ExitCode, Early>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(Early::Help(usage)) => {
            let _ = io::stdout().write_all(usage.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Early::Wrong(sentence)) => {
            note(format_args!("error: {sentence}"));
            ExitCode::from(WRONG)
        }
    }
}

/// The value of an option that takes a whole number.
pub fn number<T>(parser: &mut lexopt::Parser, option: &str, range: RangeInclusive<T>) -> Result<T, Early>
where
    T: FromStr + PartialOrd + Display,
{
    let text = parser.value()?;
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = range.into_inner();
        Early::wrong(format!("{option} takes a whole number from {least} to {most}, not {text:?}"))
    })
}

/// The value of an option that takes a text.
pub fn text(parser: &mut lexopt::Parser, option: &str) -> Result<String, Early> {
    let text = parser.value()?;
    text.into_string().map_err(|text| Early::wrong(format!("the value of {option} is not UTF-8: {text:?}")))
}

/// A line on standard output. Unlike `println!` it does not panic when nobody reads that.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line for people, on standard error. Unlike `eprintln!` it does not panic when nobody reads that.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Sends what the library logs to standard error: by `RUST_LOG`, or from this level on.
pub fn log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    // There is no other subscriber; if there were one, it would serve as well.
    let _ = subscriber.try_init();
}

/// How many file descriptors this process may have, where the system tells (Linux does: `man 5 proc`). `None`: not known, or no limit.
pub fn descriptor_limit() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    soft.split_whitespace().next()?.parse().ok()
}

/// What a process has open beside its connections: the standard streams, the runtime's, files that are being read. Chosen with room to spare.
pub const OTHER_DESCRIPTORS: usize = 24;

/// Checks that there is a descriptor for all that was asked for.
pub fn check_descriptors(option: &str, needed: usize) -> Result<(), Early> {
    match descriptor_limit() {
        Some(limit) if needed > limit => Err(Early::wrong(format!(
            "{option} needs {needed} file descriptors, and this process may have {limit}: ask for fewer, or raise the limit with `ulimit -n {needed}`"
        ))),
        _ => Ok(()),
    }
}
