//! The acknowledgement of a stop.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{Lost, Reason};
use crate::lifecycle::Phase;

/// What became of every connection: the answer to a [`Stop`](crate::Stop).
///
/// The connections that were alive when the stop began, and those that a listener accepted in its lame duck, have a row each; those that had ended before are counted
/// in the totals. So it is bounded: the past is counted, not kept.
///
/// `Display` prints a table for people (rows with the same end are folded when there are many); with the feature `serde` it serializes.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// One row a connection, in the order of admission.
    pub rows: Vec<Row>,
    /// Counts since the supervisor started.
    pub totals: Totals,
    /// From the beginning of the stop to its acknowledgement.
    pub elapsed: Duration,
}

/// The end of one connection that was alive when the stop began.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// The phase that it was in when the stop began (or when it was admitted, in the lame duck).
    pub phase_at_stop: Phase,
    /// How it ended.
    pub lost: Lost,
}

/// Counts since the supervisor started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Connections that were admitted.
    pub admitted: u64,
    /// Of those, how many completed the handshake.
    pub connected: u64,
    /// Of those admitted, how many have ended.
    pub lost: u64,
    /// Connections that were asked for and not admitted: a limit was reached or a stop had begun.
    pub refused: u64,
    /// The lost ones by [`Reason::code`].
    pub by_reason: BTreeMap<&'static str, u64>,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Every connection ended by itself or by a graceful close. A peer that did not answer our close_notify does not change that.
    Clean,
    /// So many were killed at the deadline.
    Forced(u64),
    /// So many were torn down with their thread or runtime, or did not answer to the kill.
    Abandoned(u64),
}

impl Verdict {
    /// `"clean"`, `"forced"` or `"abandoned"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Forced(_) => "forced",
            Verdict::Abandoned(_) => "abandoned",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Clean => f.write_str("clean"),
            Verdict::Forced(n) => write!(f, "forced ({n})"),
            Verdict::Abandoned(n) => write!(f, "abandoned ({n})"),
        }
    }
}

impl Ledger {
    /// Clean, or how many of the rows were forced or abandoned; an abandoned one outweighs the forced.
    pub fn verdict(&self) -> Verdict {
        let count = |is: fn(&Reason) -> bool| self.rows.iter().filter(|row| is(&row.lost.reason)).count() as u64;
        let abandoned = count(|reason| matches!(reason, Reason::Abandoned));
        let forced = count(|reason| matches!(reason, Reason::Killed));
        match (abandoned, forced) {
            (0, 0) => Verdict::Clean,
            (0, n) => Verdict::Forced(n),
            (n, _) => Verdict::Abandoned(n),
        }
    }
}

impl Totals {
    pub(crate) fn count(&mut self, reason: &Reason) {
        self.lost += 1;
        *self.by_reason.entry(reason.code()).or_default() += 1;
    }
}

/// More rows than this are folded by reason, so that ten thousand clean ends stay one line.
const ROWS_IN_FULL: usize = 20;

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        writeln!(f, "stop: {} in {}; {} alive when it began", self.verdict(), Seconds(self.elapsed), self.rows.len())?;
        if self.rows.len() <= ROWS_IN_FULL {
            self.write_rows(f, self.rows.iter())?;
        } else {
            self.write_folded(f)?;
        }
        write!(
            f,
            "since the start: {} admitted, {} connected, {} lost, {} refused",
            totals.admitted, totals.connected, totals.lost, totals.refused
        )?;
        for (n, (code, count)) in totals.by_reason.iter().enumerate() {
            write!(f, "{}{count} {code}", if n == 0 { " (" } else { ", " })?;
        }
        if !totals.by_reason.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Ledger {
    fn write_rows<'a>(&self, f: &mut fmt::Formatter<'_>, rows: impl Iterator<Item = &'a Row>) -> fmt::Result {
        let mut rows = rows.peekable();
        if rows.peek().is_some() {
            writeln!(
                f,
                "  {:>5}  {:<6}  {:<24} {:<11}  {:<7}  {:>9} {:>9} {:>7} {:>8}  reason",
                "id", "role", "peer", "was", "notify", "in", "out", "unsent", "age"
            )?;
        }
        for Row { phase_at_stop, lost } in rows {
            writeln!(
                f,
                "  {:>5}  {:<6}  {:<24} {:<11}  {:<7}  {:>9} {:>9} {:>7} {:>8}  {}",
                lost.id.get(),
                lost.role,
                lost.peer,
                phase_at_stop,
                match (lost.proof.close_notify_sent, lost.proof.close_notify_received) {
                    _ if !lost.secure => "no TLS",
                    (true, true) => "both",
                    (true, false) => "ours",
                    (false, true) => "theirs",
                    (false, false) => "none",
                },
                lost.bytes_in,
                lost.bytes_out,
                lost.bytes_unsent,
                Seconds(lost.age).to_string(),
                lost.reason,
            )?;
        }
        Ok(())
    }

    /// A line a reason for what went as it should, and the first rows of what did not.
    fn write_folded(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut folded: BTreeMap<(&'static str, Phase), (u64, u64)> = BTreeMap::new();
        for row in &self.rows {
            let (count, both) = folded.entry((row.lost.reason.code(), row.phase_at_stop)).or_default();
            *count += 1;
            *both += u64::from(row.lost.proof.close_notify_sent && row.lost.proof.close_notify_received);
        }
        for ((code, phase), (count, both)) in folded {
            writeln!(f, "  {count:>7} {code:<18} was {phase:<11}  close_notify both ways: {both}")?;
        }
        let troubled = || self.rows.iter().filter(|row| !row.lost.reason.is_expected());
        self.write_rows(f, troubled().take(ROWS_IN_FULL))?;
        match troubled().count() {
            n if n > ROWS_IN_FULL => writeln!(f, "  … and {} more that did not end as they should", n - ROWS_IN_FULL),
            _ => Ok(()),
        }
    }
}

/// A duration as people read it.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            d if d < Duration::from_secs(1) => write!(f, "{} ms", d.as_millis()),
            d => write!(f, "{:.1} s", d.as_secs_f64()),
        }
    }
}
