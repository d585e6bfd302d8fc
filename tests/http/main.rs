//! HTTP: the session against peers that misbehave at every place, the server against clients that do.

mod peer;
mod session;
