use super::*;

#[test]
fn what_is_host_and_port_is_taken_and_normalized() {
    for (text, host, port, printed) in [
        ("localhost:4433", "localhost", 4433, "localhost:4433"),
        ("Example.COM:443", "example.com", 443, "example.com:443"),
        ("example.com.:443", "example.com.", 443, "example.com.:443"),
        ("_service.example:1", "_service.example", 1, "_service.example:1"),
        ("1password.example:443", "1password.example", 443, "1password.example:443"),
        ("0xcafe.example:443", "0xcafe.example", 443, "0xcafe.example:443"),
        ("1.2.3.4:443", "1.2.3.4", 443, "1.2.3.4:443"),
        ("a:65535", "a", 65535, "a:65535"),
        ("a:0443", "a", 443, "a:443"),
        ("[::1]:443", "::1", 443, "[::1]:443"),
        ("[2001:DB8:0:0:0:0:0:1]:8443", "2001:db8::1", 8443, "[2001:db8::1]:8443"),
        ("[::ffff:1.2.3.4]:443", "::ffff:1.2.3.4", 443, "[::ffff:1.2.3.4]:443"),
    ] {
        let target: Target = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((target.host.as_str(), target.port), (host, port), "{text}");
        assert_eq!(target.to_string(), printed);
        assert_eq!(printed.parse(), Ok(target.clone()), "what is printed can be parsed");
        assert_eq!(Target::new(host, port), Ok(target), "the parts make the whole");
    }
}

#[test]
fn what_is_not_is_refused_with_the_reason() {
    let long_label = format!("{}.example:443", "a".repeat(64));
    let long_name = format!("{}:443", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(63)].join("."));
    for (text, problem) in [
        ("", Problem::HostMissing),
        (":443", Problem::HostMissing),
        ("[]:443", Problem::HostMissing),
        ("localhost", Problem::PortMissing),
        ("localhost:", Problem::PortMissing),
        ("[::1]", Problem::PortMissing),
        ("[::1]:", Problem::PortMissing),
        ("[::1]443", Problem::PortMissing),
        ("localhost:0", Problem::PortZero),
        ("localhost:65536", Problem::PortTooBig),
        ("localhost:99999999999999999999", Problem::PortTooBig),
        ("localhost:https", Problem::PortNotANumber),
        ("localhost:+443", Problem::PortNotANumber),
        ("localhost:-1", Problem::PortNotANumber),
        ("::1:443", Problem::Unbracketed),
        ("2001:db8::1", Problem::Unbracketed),
        ("a:1:2", Problem::Unbracketed),
        ("[::1:443", Problem::BracketOpen),
        ("[localhost]:443", Problem::BracketNotIpv6),
        ("[127.0.0.1]:443", Problem::BracketNotIpv6),
        ("[fe80::1%eth0]:443", Problem::Zone),
        ("local host:443", Problem::Space),
        (" localhost:443", Problem::Space),
        ("localhost:443\n", Problem::Space),
        ("https://localhost:443", Problem::Url),
        ("localhost:443/path", Problem::Url),
        ("user@localhost:443", Problem::Character('@')),
        ("local\0host:443", Problem::Character('\0')),
        ("*.example:443", Problem::Character('*')),
        ("bücher.example:443", Problem::NotAscii),
        ("a..b:443", Problem::LabelEmpty),
        (".a:443", Problem::LabelEmpty),
        (".:443", Problem::LabelEmpty),
        (&long_label, Problem::LabelTooLong),
        (&long_name, Problem::NameTooLong),
        ("127.1:443", Problem::Ipv4Form),
        ("0x7f.1:443", Problem::Ipv4Form),
        ("0x7f000001:443", Problem::Ipv4Form),
        ("0X7F.0x0:443", Problem::Ipv4Form),
        ("0x:443", Problem::Ipv4Form),
        ("2130706433:443", Problem::Ipv4Form),
        ("017700000001:443", Problem::Ipv4Form),
        ("127.0.0.01:443", Problem::Ipv4Form),
        ("127.0.0.1.:443", Problem::Ipv4Form),
        ("256.0.0.1:443", Problem::Ipv4Form),
        ("1.2.3.4.5:443", Problem::Ipv4Form),
    ] {
        match text.parse::<Target>() {
            Err(error) => assert_eq!(error.problem, problem, "{text:?}"),
            Ok(target) => panic!("{text:?} was taken as {target:?}"),
        }
    }
}

#[test]
fn the_parts_are_as_strict_as_the_whole() {
    assert_eq!(Target::new("::1", 443).map(|target| target.to_string()), Ok("[::1]:443".into()));
    for (host, port, problem) in [
        ("", 443, Problem::HostMissing),
        ("localhost", 0, Problem::PortZero),
        ("[::1]", 443, Problem::Unbracketed),
        ("127.1", 443, Problem::Ipv4Form),
        ("a/b", 443, Problem::Character('/')),
    ] {
        assert_eq!(Target::new(host, port).map_err(|error| error.problem), Err(problem), "{host:?}");
    }
}

#[test]
fn the_error_is_one_sentence_and_bounded() {
    let error = "::1:443".parse::<Target>().map_err(|error| error.to_string());
    assert_eq!(
        error,
        Err(r#""::1:443" is not a target (host:port): an IPv6 address needs brackets, as in [::1]:443"#.into())
    );
    let error = "ä".repeat(1_000_000).parse::<Target>().map_err(|error| error.to_string());
    assert!(error.is_err_and(|text| text.chars().count() < 400));
}

#[test]
fn tls_is_told_the_name_without_the_final_dot() {
    let target = Target::new("Example.com.", 443);
    assert_eq!(target.as_ref().map(Target::server_name), Ok("example.com"));
    assert_eq!(target.map(|target| target.ip()), Ok(None));
    assert_eq!(Target::new("::1", 1).map(|target| target.ip()), Ok(Some("::1".parse().unwrap())));
}
