//! Addresses: what is parsed is what is printed, and nothing gets through that the system's resolver would read in a way of its own.
#![no_main]

use std::net::Ipv4Addr;

use exeunt::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Target>() {
        Ok(target) => holds(&target),
        Err(error) => {
            let words = error.to_string();
            assert!(words.contains("is not a target"), "{words}");
            // The text is repeated in part only, each character escaped to ten at most.
            assert!(words.len() < 261 * 10 + 200, "an error repeats all of a text of {} bytes", text.len());
        }
    }
    // The two parts apart, for whoever has them apart.
    let (host, port) = text.rsplit_once('\n').unwrap_or((text, "443"));
    if let Ok(port) = port.parse() {
        match Target::new(host, port) {
            Ok(target) => holds(&target),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

fn holds(target: &Target) {
    let shown = target.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(target), "{shown:?} is read as another target");
    assert_eq!(Target::new(&target.host, target.port).as_ref(), Ok(target));
    assert_ne!(target.port, 0);
    assert!((1..=254).contains(&target.host.len()), "{shown:?}");
    assert!(!target.host.contains(char::is_uppercase), "{shown:?} is not normalized");
    assert!(!target.server_name().is_empty() && !target.server_name().ends_with('.'), "{shown:?}");
    if is_inet_aton(&target.host) {
        assert!(target.host.parse::<Ipv4Addr>().is_ok(), "the resolver reads {shown:?} as an address");
    }
    if let Some(ip) = target.ip() {
        assert_eq!(ip.to_string(), target.host, "an address has one spelling");
    }
}

/// Whether `inet_aton` (3) takes it for an IPv4 address: one to four numbers, decimal, octal or hexadecimal, of any size.
fn is_inet_aton(host: &str) -> bool {
    let is_number = |part: &str| {
        let hexadecimal = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
        match hexadecimal {
            Some(rest) => rest.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
        }
    };
    host.split('.').count() <= 4 && host.split('.').all(is_number)
}
