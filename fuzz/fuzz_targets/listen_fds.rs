//! The environment of socket activation. It is parsed by the crate listenfd; what is ours is the check of what it hands over, and that no environment is a panic.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Pid<'a> {
    Unset,
    Ours,
    Text(&'a str),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pid: Pid<'a>,
    fds: Option<&'a str>,
    first: Option<&'a str>,
    names: Option<&'a str>,
}

fuzz_target!(|input: Input<'_>| {
    let pid = match input.pid {
        Pid::Unset => None,
        Pid::Ours => Some(std::process::id().to_string()),
        Pid::Text(text) => Some(text.to_owned()),
    };
    set("LISTEN_PID", pid.as_deref());
    set("LISTEN_FDS", input.fds);
    set("LISTEN_FDS_FIRST_FD", input.first);
    set("LISTEN_FDNAMES", input.names);
    match exeunt::sockets_from_systemd() {
        Ok(sockets) => {
            // Whatever this process has open, it is no TCP socket.
            assert!(sockets.is_empty(), "{sockets:?}");
            if input.fds.is_some_and(|fds| fds.parse::<u16>().is_ok()) {
                assert!(std::env::var_os("LISTEN_FDS").is_none(), "they can be taken once");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn set(name: &str, value: Option<&str>) {
    match value {
        Some(value) if !value.contains('\0') => std::env::set_var(name, value),
        _ => std::env::remove_var(name),
    }
}
