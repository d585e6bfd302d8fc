//! HTTP over supervised connections: requests and responses, and what becomes of them when a connection ends.

#[path = "../common/quiet.rs"]
mod quiet;
mod stage;

mod serving;
