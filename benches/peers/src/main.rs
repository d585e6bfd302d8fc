//! The server, and every client that it is asked by: each a process of its own, so that nobody's work is counted as another's. `script/bench` runs them; by hand:
//!
//! ```text
//! peers serve                                    one line: port and CA file; then commands on standard input
//! peers CLIENT SCENE --port P --ca FILE [...]    one line: the figures as JSON
//! peers list                                     the clients of this build
//! peers version                                  its TLS library
//! ```

use std::process::ExitCode;

mod clients;
mod measure;
mod scenes;
mod server;
mod setup;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match setup::Asked::from_arguments().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: setup::Asked) -> Result<()> {
    match asked {
        setup::Asked::Serve => server::run(),
        setup::Asked::List => {
            println!("{}", clients::NAMES.join(" "));
            Ok(())
        }
        setup::Asked::Version => {
            println!("{}", openssl::version::version());
            Ok(())
        }
        setup::Asked::Client(setup) => clients::run(&setup),
    }
}
