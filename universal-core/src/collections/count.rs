//! Whether a list counts what is on all of its pages.

use crate::error::{Error, Result};

/// The largest number that [`Counting::Capped`] counts to.
pub const MAX_CAP: u32 = 1_000_000;

/// Whether, and how well, a list counts the documents on all of its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Counting {
    /// Not at all.
    #[default]
    None,
    /// All of them, at the cost of looking at each.
    Exact,
    /// What the database expects without looking at each: the planner's estimate on PostgreSQL; on SQLite the exact
    /// count of those among the first 10 000 documents.
    Estimated,
    /// Up to this number.
    Capped(u32),
}

impl Counting {
    /// Reads `none`, `exact`, `estimated` or `capped:N`, N from 1 to [`MAX_CAP`].
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "none" => return Ok(Self::None),
            "exact" => return Ok(Self::Exact),
            "estimated" => return Ok(Self::Estimated),
            _ => {}
        }
        let digits = text.strip_prefix("capped:").filter(|cap| cap.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|cap| cap.parse().ok()) {
            Some(cap) if (1..=MAX_CAP).contains(&cap) => Ok(Self::Capped(cap)),
            _ => Err(Error::invalid(
                "invalid-count",
                format!("`count` is none, exact, estimated or capped:N with N from 1 to {MAX_CAP}"),
            )
            .with_field("count")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_counts_have_one_spelling() {
        assert_eq!(Counting::parse("capped:1000").unwrap(), Counting::Capped(1000));
        assert_eq!(Counting::parse("exact").unwrap(), Counting::Exact);
        for bad in [
            "",
            "Exact",
            "true",
            "capped",
            "capped:",
            "capped:0",
            "capped:-1",
            "capped:+1",
            "capped:1000001",
            "capped:1e3",
            "capped:99999999999999999999",
        ] {
            assert_eq!(Counting::parse(bad).unwrap_err().code(), "invalid-count", "{bad}");
        }
    }
}
