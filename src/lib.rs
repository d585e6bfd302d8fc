//! exeunt
#![deny(unsafe_code)]
pub mod dial;
pub mod fate;
pub mod lifecycle;
pub mod tls;
pub use fate::*;
