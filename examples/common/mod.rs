//! What the examples share. None of it is needed to use exeunt.

// Each example takes its own part of this.
#![allow(dead_code)]

pub mod command;
pub mod echo;
pub mod identity;
#[cfg(feature = "serde")]
pub mod report;
#[cfg(feature = "serde")]
pub mod requests;
