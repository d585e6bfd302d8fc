//! Clocks and scales of this process, and how figures are told.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;

/// CPU time of this process, all its threads.
pub fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

/// A part that is measured: CPU and wall clock.
pub struct Stretch {
    cpu: Duration,
    wall: Instant,
}

impl Stretch {
    pub fn begin() -> Self {
        Stretch { cpu: cpu(), wall: Instant::now() }
    }

    pub fn end(self) -> Spent {
        Spent { cpu_us: micros(cpu() - self.cpu), wall_us: micros(self.wall.elapsed()) }
    }
}

/// Microseconds of all of it.
#[derive(Serialize)]
pub struct Spent {
    pub cpu_us: f64,
    pub wall_us: f64,
}

pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// KB of memory, now or at the most so far.
pub fn memory(which: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(which)).ok_or("/proc/self/status is not as expected")?;
    Ok(line.split_whitespace().nth(1).ok_or("/proc/self/status is not as expected")?.parse()?)
}

pub fn resident() -> Result<f64> {
    memory("VmRSS:")
}

/// Has the allocator give back to the system what it keeps, where it is glibc's: what is resident then is in use. Elsewhere nothing.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[allow(unsafe_code)]
        // SAFETY: the signature is glibc's.
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: it takes glibc's own locks, and gives back only pages that nothing lies in.
        #[allow(unsafe_code)]
        unsafe {
            malloc_trim(0);
        }
    }
}

pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// One line for the script.
pub fn tell(figures: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(figures)?);
    Ok(())
}
