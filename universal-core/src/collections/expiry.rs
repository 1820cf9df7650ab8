//! When a document's time is over.

use std::time::Duration;

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    collections::{document::Document, member::Path, settings::TimeToLive},
    error::{Error, ErrorKind, Result},
    expr::Field,
};

/// A time to live, ready to be asked.
#[derive(Debug)]
pub(crate) struct Expiry {
    from: Counted,
    after: Duration,
}

#[derive(Debug)]
enum Counted {
    Created,
    Updated,
    Member(Path),
}

impl Expiry {
    /// Checks the setting and makes it ready.
    ///
    /// # Errors
    /// `Invalid` `invalid-field` with the place.
    pub(crate) fn compile(setting: &TimeToLive) -> Result<Self> {
        let from = match Field::parse(&setting.field) {
            Ok(Field::CreatedAt) => Counted::Created,
            Ok(Field::UpdatedAt) => Counted::Updated,
            Ok(Field::Document(_)) => Counted::Member(Path::parse(&setting.field)?),
            Ok(_) => return Err(invalid("expected a member of the document, `meta.created_at` or `meta.updated_at`")),
            Err(error) => return Err(invalid(error.message())),
        };
        Ok(Self { from, after: Duration::from_secs(u64::from(setting.seconds)) })
    }

    /// Whether the moment stands among the members.
    pub(crate) fn asks_for_members(&self) -> bool {
        matches!(self.from, Counted::Member(_))
    }

    /// When the document's time is over; `None` if it stays.
    ///
    /// # Errors
    /// `Unprocessable` `invalid-moment` for a member that is neither null nor a moment in RFC 3339.
    pub(crate) fn of(&self, document: &Document, members: &Map<String, Value>) -> Result<Option<Timestamp>> {
        let from = match &self.from {
            Counted::Created => document.created_at,
            Counted::Updated => document.updated_at,
            Counted::Member(path) => match path.get(members) {
                None | Some(Value::Null) => return Ok(None),
                Some(value) => moment(value).ok_or_else(|| {
                    let message = "the document's time to live counts from this member: a moment in RFC 3339 like \
                                   `2030-01-02T03:04:05Z`, or null";
                    Error::new(ErrorKind::Unprocessable, "invalid-moment", message).with_field(path.pointer())
                })?,
            },
        };
        Ok(Some(from.plus(self.after)))
    }
}

fn moment(value: &Value) -> Option<Timestamp> {
    let moment = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(Timestamp::from_micros(moment.timestamp_micros()))
}

fn invalid(message: &str) -> Error {
    Error::invalid("invalid-field", message.to_owned()).with_field("/time_to_live/field")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{collections::document::Revision, id::DocumentId};

    fn document() -> Document {
        let moments = (Timestamp::from_micros(1_000_000), Timestamp::from_micros(2_000_000));
        let name = "a".parse().unwrap();
        Document::new(name, DocumentId::generate(), "{}", Revision::stored("x-1"), None, moments)
    }

    fn of(setting: &TimeToLive, members: &Value) -> Result<Option<i64>> {
        let expiry = Expiry::compile(setting)?;
        Ok(expiry.of(&document(), members.as_object().unwrap())?.map(Timestamp::as_micros))
    }

    #[test]
    fn a_time_is_over_so_many_seconds_after_a_moment() {
        let none = json!({});
        assert_eq!(of(&TimeToLive::at("meta.created_at").with_seconds(3), &none).unwrap(), Some(4_000_000));
        assert_eq!(of(&TimeToLive::at("meta.updated_at").with_seconds(3), &none).unwrap(), Some(5_000_000));
        let member = TimeToLive::at("a.until").with_seconds(1);
        assert_eq!(of(&member, &json!({"a": {"until": "1970-01-01T02:00:10+02:00"}})).unwrap(), Some(11_000_000));
        assert_eq!(of(&member, &json!({"a": {"until": null}})).unwrap(), None);
        assert_eq!(of(&member, &none).unwrap(), None);
        for wrong in [json!(5), json!("tomorrow"), json!("2030-01-02")] {
            let error = of(&member, &json!({"a": {"until": wrong}})).unwrap_err();
            assert_eq!((error.code(), error.field()), ("invalid-moment", Some("/a/until")));
        }
    }

    #[test]
    fn a_field_that_holds_no_moment_is_refused() {
        for field in ["id", "meta.owner", "a..b", ""] {
            let error = Expiry::compile(&TimeToLive::at(field)).unwrap_err();
            assert_eq!((error.code(), error.field()), ("invalid-field", Some("/time_to_live/field")), "{field}");
        }
    }
}
