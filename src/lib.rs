//! exeunt
#![deny(unsafe_code)]
pub mod fate;
pub mod lifecycle;
pub mod tls;
pub use fate::*;
