//! The server: what it answers, and how its connections end.

mod draining;
mod ending;
mod programs;
mod requests;
