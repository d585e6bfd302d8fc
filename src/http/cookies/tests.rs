use super::*;

const HTTPS: &str = "https://www.example.com/a/b";

fn jar_with(url: &str, cookies: &[&str]) -> CookieJar {
    let jar = CookieJar::new();
    for cookie in cookies {
        jar.set(url, cookie).unwrap();
    }
    jar
}

fn sent(jar: &CookieJar, url: &str) -> String {
    jar.header(url).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn a_cookie_goes_where_it_was_said_to() {
    let jar = jar_with(
        HTTPS,
        &["host=1", "domain=2; Domain=.Example.com", "deep=3; Path=/a", "root=4; Path=/", "s=5; Secure; Path=/"],
    );
    for (url, expected) in [
        // Longer paths first; the default path of /a/b is /a.
        (HTTPS, "host=1; deep=3; domain=2; root=4; s=5"),
        ("https://www.example.com/", "root=4; s=5"),
        ("http://www.example.com/a/", "host=1; deep=3; domain=2; root=4"),
        ("https://www.example.com/ab", "root=4; s=5"),
        ("https://example.com/a/x", "domain=2"),
        ("https://other.example.com/a", "domain=2"),
        ("https://notexample.com/a", ""),
        ("https://www.example.com.evil.org/a", ""),
    ] {
        assert_eq!(sent(&jar, url), expected, "{url}");
    }
}

#[test]
fn what_may_not_be_set_is_refused_and_says_why() {
    let long = format!("long={}", "x".repeat(4093));
    for (url, cookie) in [
        (HTTPS, "a=1; Domain=other.com"),
        (HTTPS, "a=1; Domain=com"),
        (HTTPS, "a=1; Domain=deeper.www.example.com"),
        ("http://example.com/", "a=1; Secure"),
        (HTTPS, "__Secure-a=1"),
        (HTTPS, "__host-a=1; Secure; Path=/; Domain=www.example.com"),
        (HTTPS, "__Host-a=1; Secure; Path=/a"),
        ("https://10.0.0.1/", "a=1; Domain=0.0.1"),
        (HTTPS, &long),
        (HTTPS, "novalue"),
        ("no url", "a=1"),
    ] {
        let jar = CookieJar::new();
        assert!(jar.set(url, cookie).is_err(), "{url} set {cookie}");
        assert!(jar.list().is_empty(), "{url} set {cookie}");
    }
    let fine = jar_with(HTTPS, &["__Host-a=1; Secure; Path=/", &long[..4096]]);
    assert_eq!(fine.list().len(), 2);
    // A host of one label is its own domain.
    assert_eq!(sent(&jar_with("http://intranet/", &["a=1; Domain=intranet"]), "http://intranet/"), "a=1");
}

#[test]
fn public_suffixes_are_nobodys() {
    let list = "// ===BEGIN ICANN DOMAINS===\nuk\nco.uk\n// ===END ICANN DOMAINS===\n";
    let url = "https://shop.example.co.uk/";
    assert!(CookieJar::new().set(url, "a=1; Domain=co.uk").is_ok(), "without a list nobody knows");
    let jar = CookieJar::new().with_public_suffixes(list).unwrap();
    assert!(jar.set(url, "a=1; Domain=co.uk").is_err());
    jar.set(url, "a=1; Domain=example.co.uk").unwrap();
    assert_eq!(sent(&jar, "https://example.co.uk/"), "a=1");
}

#[test]
fn a_cookie_is_replaced_and_taken_back() {
    let jar = jar_with(HTTPS, &["a=1", "b=2", "a=3"]);
    assert_eq!(sent(&jar, HTTPS), "a=3; b=2");
    for gone in ["a=; Max-Age=0", "b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        jar.set(HTTPS, gone).unwrap();
    }
    assert_eq!(jar.header(HTTPS), None);
    assert!(jar.list().is_empty());
    let jar = jar_with(HTTPS, &["a=1; Path=/x"]);
    assert!(jar.remove("www.example.com", "/x", "a") && !jar.remove("www.example.com", "/x", "a"));
}

#[test]
fn what_is_kept_comes_back_without_what_has_expired() {
    let jar = jar_with(HTTPS, &["keep=1; Max-Age=1000; Secure; HttpOnly; Domain=example.com", "session=2"]);
    let (mut kept, mut all) = (Vec::new(), Vec::new());
    jar.save(&mut kept).unwrap();
    jar.save_all(&mut all).unwrap();
    let again = CookieJar::new();
    again.load(&kept[..]).unwrap();
    let cookie = &again.list()[..];
    let [cookie] = cookie else { panic!("{cookie:?}") };
    assert_eq!((&*cookie.name, &*cookie.value, &*cookie.domain), ("keep", "1", "example.com"));
    assert!(cookie.secure && cookie.http_only && !cookie.host_only && cookie.expires > Some(SystemTime::now()));
    again.load(&all[..]).unwrap();
    assert_eq!(sent(&again, HTTPS), "keep=1; session=2");
    assert_eq!(again.get(HTTPS, "session").as_deref(), Some("2"));
    assert!(matches!(again.load(&b"no JSON"[..]), Err(CookieError::Load(_))));
    assert_eq!(again.list().len(), 2);
}

/// Law 8: whatever peers set.
#[test]
fn a_jar_is_bounded() {
    let jar = CookieJar::new();
    for n in 0..200 {
        jar.set(HTTPS, &format!("n{n}=1")).unwrap();
    }
    let names: Vec<_> = jar.list().into_iter().map(|cookie| cookie.name).collect();
    assert_eq!((names.len(), &*names[0]), (180, "n20"), "the oldest are forgotten");
    for n in 0..3000 {
        jar.set(&format!("https://h{n}.example.com/"), "a=1").unwrap();
    }
    assert_eq!(jar.list().len(), 3000);
    assert!(jar.get("https://h2999.example.com/", "a").is_some());
    assert!(
        jar.list().iter().filter(|cookie| cookie.domain == "www.example.com").count() < 5,
        "whoever has most, loses first"
    );
}

#[test]
fn no_debug_shows_a_value() {
    let jar = jar_with(HTTPS, &["name=secret"]);
    let shown = format!("{jar:?} {:?} {:?}", jar.list(), jar.header(HTTPS));
    assert!(shown.contains("name") && !shown.contains("secret"), "{shown}");
}
