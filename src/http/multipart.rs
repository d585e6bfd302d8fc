//! `multipart/form-data` (RFC 7578): written as the browsers do, read by `multer`.
//!
//! The writer is ours: what is well kept of this kind belongs to clients, which do not lend it.

mod error;
mod form;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::MultipartError;
pub use form::{Form, Part};
pub use read::{Field, Multipart, MultipartLimits};
