//! How long many requests took: percentiles, and a histogram that fits a terminal.

use std::{fmt, time::Duration};

use crate::print::millis;

/// Latencies in buckets that grow by a tenth: 256 of them reach from a microsecond to a day, so any number of requests takes the same memory.
pub struct Summary {
    pub ok: u64,
    pub failed: u64,
    pub bytes: u64,
    pub reused: u64,
    pub took: Duration,
    buckets: [u64; 256],
    longest: Duration,
}

const GROWTH: f64 = 1.1;

impl Summary {
    pub fn new() -> Self {
        Summary {
            ok: 0,
            failed: 0,
            bytes: 0,
            reused: 0,
            took: Duration::ZERO,
            buckets: [0; 256],
            longest: Duration::ZERO,
        }
    }

    /// One more that went well, after so long.
    pub fn add(&mut self, took: Duration) {
        self.ok += 1;
        self.longest = self.longest.max(took);
        let micros = took.as_secs_f64() * 1e6;
        let bucket = if micros <= 1.0 { 0.0 } else { (micros.ln() / GROWTH.ln()).ceil() };
        self.buckets[(bucket as usize).min(255)] += 1;
    }

    /// No more than this part of them took longer: to a tenth, upwards. `None`: there were none.
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        let wanted = (self.ok as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (n, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Some(upper(n).min(self.longest));
            }
        }
        None
    }
}

fn upper(bucket: usize) -> Duration {
    Duration::from_secs_f64(GROWTH.powi(bucket as i32) / 1e6)
}

/// Lines in the histogram.
const LINES: usize = 12;
const WIDTH: u64 = 40;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let rate = (self.ok + self.failed) as f64 / seconds.max(1e-9);
        write!(
            f,
            "{} ok, {} failed in {seconds:.2} s: {rate:.0} a second, {} bytes, {} over a connection that had served before",
            self.ok, self.failed, self.bytes, self.reused
        )?;
        for (part, name) in [(0.5, "\np50"), (0.9, ", p90"), (0.99, ", p99"), (0.999, ", p99.9"), (1.0, ", max")] {
            if let Some(took) = self.percentile(part) {
                write!(f, "{name} {} ms", millis(took))?;
            }
        }
        let first = self.buckets.iter().position(|count| *count > 0);
        let last = self.buckets.iter().rposition(|count| *count > 0);
        let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
        let step = (last - first) / LINES + 1;
        let lines: Vec<(usize, u64)> = (first..=last)
            .step_by(step)
            .map(|from| (from + step - 1, self.buckets[from..(from + step).min(256)].iter().sum()))
            .collect();
        let most = lines.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
        for (bucket, count) in lines {
            let bar = "#".repeat((count * WIDTH).div_ceil(most) as usize);
            write!(f, "\n  to {:>10.3} ms  {count:>9}  {bar}", millis(upper(bucket).min(self.longest)))?;
        }
        Ok(())
    }
}
