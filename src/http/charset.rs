//! Bytes to text.

use http::HeaderValue;

use super::incoming::BodyError;

/// The text of a body with this content type.
///
/// A byte order mark says best what follows it, then the charset that the peer names, and else it is UTF-8 (RFC 8259 wants that of JSON, and most of the web does it). What is malformed becomes U+FFFD, as everywhere on the
/// web. A charset that nobody knows is not guessed at: wrong text that looks right is worse than an error.
pub(super) fn text(content_type: Option<&HeaderValue>, bytes: &[u8]) -> Result<String, BodyError> {
    decode(content_type.and_then(charset).as_deref(), bytes)
}

#[cfg(feature = "charset")]
fn decode(charset: Option<&str>, bytes: &[u8]) -> Result<String, BodyError> {
    use encoding_rs::{Encoding, UTF_8};

    let encoding = match Encoding::for_bom(bytes) {
        Some(_) => UTF_8,
        None => match charset {
            Some(name) => Encoding::for_label(name.as_bytes()).ok_or_else(|| BodyError::Charset(name.to_owned()))?,
            None => UTF_8,
        },
    };
    // It looks for the mark, too, and leaves it out.
    Ok(encoding.decode(bytes).0.into_owned())
}

#[cfg(not(feature = "charset"))]
fn decode(charset: Option<&str>, bytes: &[u8]) -> Result<String, BodyError> {
    const MARKS: [(&[u8], &str); 2] = [(b"\xFE\xFF", "utf-16be"), (b"\xFF\xFE", "utf-16le")];

    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        return Ok(String::from_utf8_lossy(rest).into_owned());
    }
    let charset = MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, name)| *name).or(charset);
    match charset {
        None => {}
        Some(name) if ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| name.eq_ignore_ascii_case(known)) => {}
        Some(name) => return Err(BodyError::Charset(name.to_owned())),
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The `charset` of a content type (RFC 9110, section 8.3): the first, if there are many.
fn charset(content_type: &HeaderValue) -> Option<String> {
    let mut rest = content_type.to_str().ok()?;
    while let Some(parameter) = after_semicolon(rest) {
        rest = parameter;
        let Some((name, value)) = parameter.split_once('=') else { break };
        if name.trim().eq_ignore_ascii_case("charset") {
            let value = value.trim_start();
            let end = |char| char == '"' || char == ';';
            let value = value.strip_prefix('"').unwrap_or(value).split(end).next().unwrap_or_default().trim();
            return (!value.is_empty()).then(|| value.to_owned());
        }
    }
    None
}

/// What comes after the next semicolon that is not inside quotes.
fn after_semicolon(text: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let at = text.bytes().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' => return !quoted,
            _ => {}
        }
        false
    })?;
    text.get(at + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &str, bytes: &[u8]) -> Result<String, BodyError> {
        text(Some(&HeaderValue::from_str(content_type).unwrap()), bytes)
    }

    #[test]
    fn the_charset_is_found_where_it_may_stand() {
        for (content_type, found) in [
            ("text/html; charset=x", Some("x")),
            ("text/html;charset=x;a=b", Some("x")),
            ("text/html; CharSet = \"x\" ; a=b", Some("x")),
            ("text/html; a=b; charset=x; charset=y", Some("x")),
            (r#"text/html; a="; charset=y"; charset=x"#, Some("x")),
            (r#"text/html; a="\"; charset=y"; charset=x"#, Some("x")),
            ("text/html; a; charset=x", Some("x")),
            ("text/html; charset=\"x", Some("x")),
            ("text/html; charset=", None),
            ("text/html; charset=\"\"", None),
            ("text/html; charset", None),
            ("text/html; xcharset=y", None),
            ("charset=y", None),
            ("text/html;", None),
            ("", None),
        ] {
            assert_eq!(charset(&HeaderValue::from_str(content_type).unwrap()).as_deref(), found, "{content_type}");
        }
        assert_eq!(charset(&HeaderValue::from_bytes(b"text/html; charset=\xFF").unwrap()), None);
    }

    #[test]
    fn it_is_utf_8_if_nothing_else_is_said() {
        assert_eq!(text(None, "größer".as_bytes()).unwrap(), "größer");
        for content_type in ["text/plain", "text/plain; charset=UTF-8", "text/plain; charset=utf8"] {
            assert_eq!(of(content_type, "größer".as_bytes()).unwrap(), "größer");
            assert_eq!(of(content_type, b"gr\xFF").unwrap(), "gr\u{FFFD}");
            assert_eq!(of(content_type, b"").unwrap(), "");
        }
    }

    #[test]
    fn a_mark_outranks_the_charset_and_is_left_out() {
        assert_eq!(of("text/plain; charset=utf-16le", b"\xEF\xBB\xBFa").unwrap(), "a");
        assert_eq!(of("text/plain; charset=no-such", b"\xEF\xBB\xBFa").unwrap(), "a");
    }

    #[test]
    fn an_unknown_charset_is_not_guessed_at() {
        for bytes in [&b"a"[..], b"\xFF"] {
            assert_eq!(of("text/plain; charset=no-such", bytes), Err(BodyError::Charset("no-such".into())));
        }
    }

    #[cfg(feature = "charset")]
    #[test]
    fn the_charsets_of_the_web_are_known() {
        for (charset, bytes, text) in [
            ("iso-8859-1", &b"gr\xF6\xDFer \x80"[..], "größer €"),
            ("latin1", b"\xE9", "é"),
            ("windows-1251", b"\xE4\xE0", "да"),
            ("koi8-r", b"\xC4\xC1", "да"),
            ("Shift_JIS", b"\x93\xFA\x96{", "日本"),
            ("euc-jp", b"\xC6\xFC\xCB\xDC", "日本"),
            ("iso-2022-jp", b"\x1B$BF|K\\\x1B(B", "日本"),
            ("gbk", b"\xD6\xD0\xCE\xC4", "中文"),
            ("big5", b"\xA4\xA4\xA4\xE5", "中文"),
            ("utf-16le", b"\x2D\x4E", "中"),
            ("utf-16be", b"\x4E\x2D", "中"),
            ("utf-8", b"\xFE\xFF\x4E\x2D", "中"),
            ("utf-8", b"\xFF\xFE\x2D\x4E", "中"),
        ] {
            assert_eq!(of(&format!("text/plain; charset={charset}"), bytes).unwrap(), text, "{charset}");
        }
    }

    #[cfg(not(feature = "charset"))]
    #[test]
    fn without_the_feature_other_charsets_are_refused() {
        assert_eq!(of("text/plain; charset=us-ascii", b"a").unwrap(), "a");
        for charset in ["iso-8859-1", "utf-16le"] {
            let refused = of(&format!("text/plain; charset={charset}"), b"a").unwrap_err();
            assert_eq!(refused, BodyError::Charset(charset.into()));
        }
        assert_eq!(text(None, b"\xFF\xFE\x2D\x4E"), Err(BodyError::Charset("utf-16le".into())));
    }
}
