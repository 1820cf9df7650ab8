//! Path segments and form-encoded text: percent-decoded once, after matching.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use universal_core::error::{Error, Result};

/// One segment or parameter, decoded.
///
/// # Errors
/// `Invalid` with `code` if an escape is not one or the bytes are no UTF-8.
pub(crate) fn decode<'t>(text: &'t str, name: &str, code: &'static str) -> Result<Cow<'t, str>> {
    let bad = || {
        Error::invalid(code, "percent-escapes must be `%` and two hexadecimal digits, and give UTF-8").with_field(name)
    };
    if !escapes_are_whole(text.as_bytes()) {
        return Err(bad());
    }
    percent_decode(text.as_bytes()).decode_utf8().map_err(|_| bad())
}

/// The library takes a broken escape for itself; a strict reader refuses it.
fn escapes_are_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {}
            _ => return false,
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_is_strict_and_happens_once() {
        assert_eq!(decode("a%2Fb", "id", "invalid-path").unwrap(), "a/b");
        assert_eq!(decode("%2541", "id", "invalid-path").unwrap(), "%41");
        for bad in ["%", "%4", "%zz", "a%f", "%ff", "%c0%af"] {
            assert_eq!(decode(bad, "id", "invalid-path").unwrap_err().code(), "invalid-path", "{bad}");
        }
    }
}
