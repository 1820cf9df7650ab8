//! The media type of an object.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::{Error, Result};

/// The longest media type in bytes.
const MAX_BYTES: usize = 255;

/// A media type (RFC 9110 §8.3.1): `type/subtype` in lower case, then its parameters as they were.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ContentType(Arc<str>);

impl ContentType {
    /// Checks `text` and makes it a media type.
    ///
    /// # Errors
    /// `Invalid` (`invalid-content-type`) if it is not exactly one media type of at most 255 bytes
    /// of visible ASCII.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref().trim_matches([' ', '\t']);
        let (essence, parameters) = match text.find(';') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let essence = essence.trim_end_matches([' ', '\t']).to_ascii_lowercase();
        let ok = text.len() <= MAX_BYTES
            && essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
            && parameters.bytes().all(|b| (b.is_ascii_graphic() || b == b' ') && b != b',');
        if ok {
            return Ok(Self(format!("{essence}{parameters}").into()));
        }
        Err(Error::invalid("invalid-content-type", "a content type is one media type, for example 'image/png'")
            .with_field("content_type"))
    }

    /// `application/octet-stream`, the type of an object for which none was given.
    #[must_use]
    pub fn octet_stream() -> Self {
        Self(Arc::from("application/octet-stream"))
    }

    /// The whole media type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `type/subtype` without parameters, in lower case.
    #[must_use]
    pub fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or(&self.0).trim_end()
    }

    /// Whether a browser that is told not to guess (`nosniff`) shows this type without running
    /// anything: a list of what is harmless, never of what is harmful.
    #[must_use]
    pub fn is_inline_safe(&self) -> bool {
        matches!(
            self.essence(),
            "image/png"
                | "image/jpeg"
                | "image/gif"
                | "image/webp"
                | "image/avif"
                | "video/mp4"
                | "video/webm"
                | "audio/mpeg"
                | "audio/ogg"
                | "audio/wav"
                | "text/plain"
        )
    }

    /// Whether a browser that is told not to guess never runs this type, so that it may keep it when it
    /// is handed out as a download. Again a list of what is harmless.
    #[must_use]
    pub fn is_passive(&self) -> bool {
        let essence = self.essence();
        let kind = essence.split('/').next().unwrap_or_default();
        matches!(kind, "audio" | "video" | "font")
            || matches!(
                essence,
                "application/gzip"
                    | "application/json"
                    | "application/octet-stream"
                    | "application/pdf"
                    | "application/zip"
                    | "image/bmp"
                    | "image/heic"
                    | "image/heif"
                    | "image/jxl"
                    | "image/tiff"
                    | "text/csv"
                    | "text/markdown"
            )
    }
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Default for ContentType {
    fn default() -> Self {
        Self::octet_stream()
    }
}

impl FromStr for ContentType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl serde::Serialize for ContentType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for ContentType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        Self::new(&*text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_media_type_or_none() {
        assert_eq!(ContentType::new(" TEXT/Html ; Charset=x").unwrap().as_str(), "text/html; Charset=x");
        assert_eq!(ContentType::new("text/html;x").unwrap().essence(), "text/html");
        for bad in
            ["", "text", "text/", "/html", "image/png, text/html", "image/png;a=1,text/html", "a/b\n", "a b/c", "é/x"]
        {
            assert_eq!(ContentType::new(bad).unwrap_err().code(), "invalid-content-type", "{bad:?}");
        }
    }

    #[test]
    fn only_the_harmless_are_shown() {
        for shown in ["image/png", "IMAGE/PNG", "text/plain; charset=utf-8"] {
            assert!(ContentType::new(shown).unwrap().is_inline_safe(), "{shown}");
        }
        for kept in [
            "text/html",
            "image/svg+xml",
            "text/html;image/png",
            "application/pdf",
            "text/xml",
            "image/png.",
            "text/css",
        ] {
            assert!(!ContentType::new(kept).unwrap().is_inline_safe(), "{kept}");
        }
    }
}
