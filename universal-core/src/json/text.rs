//! Reading one JSON string.

use crate::error::{Error, Result};
use crate::json::canonical::Parser;

impl<'t> Parser<'t> {
    /// Reads a string whose opening quote is at the present position.
    pub(super) fn string(&mut self) -> Result<String> {
        self.position += 1;
        let mut out = String::new();
        loop {
            let start = self.position;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
                self.position += 1;
            }
            // Both ends are at ASCII bytes or at the end, so the slice is whole characters.
            out.push_str(self.slice(start));
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(0) => return Err(nul(self.position)),
                Some(_) => {
                    return Err(self.syntax("a control character in a string must be escaped, for example \\n"));
                }
                None => return Err(self.syntax("the text ends within a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let start = self.position;
        self.position += 1;
        let Some(kind) = self.peek() else { return Err(self.syntax("the text ends within a string")) };
        self.position += 1;
        Ok(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(start),
            _ => {
                self.position = start;
                return Err(
                    self.syntax("unknown escape in a string; JSON knows \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX")
                );
            }
        })
    }

    /// Reads the digits after `\u`, and the second half of a surrogate pair.
    fn unicode(&mut self, start: usize) -> Result<char> {
        let first = self.hex4()?;
        let code = match first {
            0xD800..=0xDBFF => {
                let second = if self.rest().starts_with(b"\\u") {
                    self.position += 2;
                    self.hex4()?
                } else {
                    0
                };
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(lone_surrogate(start));
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            0 => return Err(nul(start)),
            code => code,
        };
        char::from_u32(code).ok_or_else(|| lone_surrogate(start))
    }

    fn hex4(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.syntax("\\u takes four hexadecimal digits")) };
            code = code * 16 + digit;
            self.position += 1;
        }
        Ok(code)
    }
}

fn nul(position: usize) -> Error {
    Error::invalid("invalid-text", "a text cannot hold the character U+0000").with_position(position)
}

fn lone_surrogate(position: usize) -> Error {
    Error::invalid(
        "invalid-text",
        "half a surrogate pair is not a character; write both halves or the character itself",
    )
    .with_position(position)
}
