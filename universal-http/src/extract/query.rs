//! The query string: every parameter known, each at most once.

use std::borrow::Cow;

use universal_core::error::{Error, Result};

use super::path::decode;

/// The parameters of a query string. A handler takes what it knows and calls [`Query::finish`], which refuses the rest:
/// a misspelt `fliter=` is told, not passed over.
#[derive(Debug)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads `text`, the part after `?`.
    ///
    /// # Errors
    /// `Invalid` for a broken escape or a parameter that is there twice.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = form(name, "query")?;
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Error::invalid("repeated-parameter", format!("the parameter `{name}` is there twice"))
                    .with_field(name));
            }
            let value = form(value, &name)?;
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The parameter `name`, if it is there.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(known, _)| known == name)?;
        Some(self.pairs.swap_remove(at).1)
    }

    /// The parameter `name`, if it is there and not blank: a form that was not filled in asks for nothing.
    pub(crate) fn take_text(&mut self, name: &str) -> Option<String> {
        self.take(name).filter(|text| !text.trim().is_empty())
    }

    /// That nothing is left that no one asked for.
    ///
    /// # Errors
    /// `Invalid` naming a parameter that this route does not know.
    pub(crate) fn finish(self) -> Result<()> {
        match self.pairs.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid(
                "unknown-parameter",
                format!("this route has no parameter `{}`", name.chars().take(64).collect::<String>()),
            )
            .with_field(name)),
        }
    }
}

/// Form encoding: `+` is a space, else percent-escapes.
fn form(text: &str, name: &str) -> Result<String> {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    Ok(decode(&spaced, name, "invalid-query")?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_once_and_all() {
        let mut query = Query::parse(Some("a=1&b=x+y%2B&c")).unwrap();
        assert_eq!(query.take("a").as_deref(), Some("1"));
        assert_eq!(query.take("b").as_deref(), Some("x y+"));
        assert_eq!(query.take("c").as_deref(), Some(""));
        assert_eq!(query.take("d"), None);
        query.finish().unwrap();
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(Query::parse(Some("a=1&a=2")).unwrap_err().code(), "repeated-parameter");
        assert_eq!(Query::parse(Some("a=%zz")).unwrap_err().field(), Some("a"));
        let error = Query::parse(Some("fliter=x")).unwrap().finish().unwrap_err();
        assert_eq!((error.code(), error.field()), ("unknown-parameter", Some("fliter")));
    }
}
