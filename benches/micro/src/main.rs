//! Hot paths for callgrind: `scenes NAME TIMES` plays one so often in `measured`, which is what `script/instructions` collects. One thread, pipes in memory, a clock that stands still: so that every run does the
//! same, on any machine.

#[path = "../../shared/nothing.rs"]
mod nothing;
#[path = "../../shared/peer.rs"]
mod peer;
mod scenes;

use std::process::ExitCode;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let played = match words.as_slice() {
        [name] if name == "list" => {
            println!("{}", scenes::NAMES.join(" "));
            Ok(())
        }
        [name, times] => times.parse().map_err(Into::into).and_then(|times| scenes::play(name, times)),
        _ => Err("usage: scenes list | scenes NAME TIMES".into()),
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scenes: {error}");
            ExitCode::FAILURE
        }
    }
}
