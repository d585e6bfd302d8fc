//! Why a TLS configuration was not accepted.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use openssl::error::ErrorStack;

use super::failure::words;

/// A TLS configuration that cannot be used, in one sentence: what was being done, with which file or option, what went wrong, and what to do about it.
///
/// No secret is in it: paths and options, never the content of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfigError {
    doing: &'static str,
    subject: Subject,
    problem: String,
    advice: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    None,
    File(PathBuf),
    Option(String),
}

impl TlsConfigError {
    /// The file that it is about, if it is about one.
    pub fn file(&self) -> Option<&Path> {
        match &self.subject {
            Subject::File(path) => Some(path),
            Subject::None | Subject::Option(_) => None,
        }
    }

    /// What went wrong, without the rest of the sentence.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to do about it, if that is known.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    pub(crate) fn new(doing: &'static str, problem: impl Into<String>) -> TlsConfigError {
        TlsConfigError { doing, subject: Subject::None, problem: problem.into(), advice: None }
    }

    /// The library refused, and nothing better can be said than its own words.
    pub(crate) fn library(doing: &'static str) -> impl FnOnce(ErrorStack) -> TlsConfigError {
        move |stack| TlsConfigError::new(doing, words(&stack))
    }

    pub(crate) fn with_file(mut self, path: &Path) -> TlsConfigError {
        self.subject = Subject::File(path.to_owned());
        self
    }

    pub(crate) fn with_option(mut self, option: impl Into<String>) -> TlsConfigError {
        self.subject = Subject::Option(option.into());
        self
    }

    pub(crate) fn with_advice(mut self, advice: impl Into<String>) -> TlsConfigError {
        self.advice = Some(advice.into());
        self
    }
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.doing)?;
        match &self.subject {
            Subject::None => {}
            Subject::File(path) => write!(f, " {}", path.display())?,
            Subject::Option(option) => write!(f, " {option:?}")?,
        }
        write!(f, ": {}", self.problem)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TlsConfigError {}
