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
