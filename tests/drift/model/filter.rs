//! A few shapes of filters, which write themselves as text for the databases and which the model evaluates by itself.

use std::cmp::Ordering;

use serde_json::Value;

use super::{value, world::Document};

/// A filter.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    True,
    Compare(&'static str, &'static str, Value),
    Has(&'static str),
    In(&'static str, Vec<Value>),
    Holds(Value, &'static str),
    Size(&'static str, &'static str, i64),
    Text(&'static str, &'static str, &'static str),
    /// A moment of the document beside the present one, less so many milliseconds.
    Age(&'static str, &'static str, u32),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
}

/// A field of a document as filters and orders name it.
pub(super) fn field(id: &str, document: &Document, path: &str) -> Option<Value> {
    match path {
        "id" => Some(id.into()),
        "meta.owner" => Some(document.owner.clone().into()),
        // As microseconds, which order as moments do.
        "meta.created_at" => Some(document.created.into()),
        "meta.updated_at" => Some(document.updated.into()),
        _ => {
            let mut names = path.split('.');
            let first = document.body.get(names.next()?)?;
            names.try_fold(first, |value, name| value.as_object()?.get(name)).cloned()
        }
    }
}

impl Filter {
    /// The text that a caller sends.
    pub(super) fn text(&self) -> String {
        match self {
            Self::True => "true".to_owned(),
            Self::Compare(path, operator, value) => format!("{path} {operator} {value}"),
            Self::Has(path) => format!("has(doc.{path})"),
            Self::In(path, values) => {
                format!("{path} in [{}]", values.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
            }
            Self::Holds(value, path) => format!("{value} in doc.{path}"),
            Self::Size(path, operator, number) => format!("size({path}) {operator} {number}"),
            Self::Text(path, function, argument) => format!("{path}.{function}({})", Value::from(*argument)),
            Self::Age(moment, operator, millis) => format!("{moment} {operator} now - duration(\"{millis}ms\")"),
            Self::And(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) || ({})", a.text(), b.text()),
            Self::Not(a) => format!("!({})", a.text()),
        }
    }

    /// Whether a document matches: only where the whole is true.
    pub(super) fn matches(&self, id: &str, document: &Document, now: i64) -> bool {
        self.truth(id, document, now) == Some(true)
    }

    /// `None` is an error, which is neither true nor false.
    fn truth(&self, id: &str, document: &Document, now: i64) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::Compare(path, operator, wanted) => {
                let (found, wanted) = (field(id, document, path)?, value::canonical(wanted));
                match *operator {
                    "==" => Some(found == wanted),
                    "!=" => Some(found != wanted),
                    _ => Some(holds(operator, value::comparable(&found, &wanted)?)),
                }
            }
            Self::Has(path) => match path.rsplit_once('.') {
                None => Some(document.body.contains_key(*path)),
                Some((place, name)) => Some(field(id, document, place)?.as_object()?.contains_key(name)),
            },
            Self::In(path, values) => {
                let found = field(id, document, path)?;
                Some(values.iter().any(|value| value::canonical(value) == found))
            }
            Self::Holds(wanted, path) => match field(id, document, path)? {
                Value::Array(items) => Some(items.contains(&value::canonical(wanted))),
                Value::Object(members) => Some(wanted.as_str().is_some_and(|name| members.contains_key(name))),
                _ => None,
            },
            Self::Size(path, operator, number) => {
                let size = match field(id, document, path)? {
                    Value::String(text) => text.chars().count(),
                    Value::Array(items) => items.len(),
                    Value::Object(members) => members.len(),
                    _ => return None,
                };
                Some(holds(operator, i64::try_from(size).unwrap().cmp(number)))
            }
            Self::Text(path, function, argument) => {
                let found = field(id, document, path)?;
                let text = found.as_str()?;
                Some(match *function {
                    "contains" => text.contains(argument),
                    "startsWith" => text.starts_with(argument),
                    _ => text.ends_with(argument),
                })
            }
            Self::Age(moment, operator, millis) => {
                let moment = if *moment == "meta.created_at" { document.created } else { document.updated };
                Some(holds(operator, (moment.div_euclid(1000)).cmp(&(now.div_euclid(1000) - i64::from(*millis)))))
            }
            Self::And(a, b) => match (a.truth(id, document, now), b.truth(id, document, now)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => match (a.truth(id, document, now), b.truth(id, document, now)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::Not(a) => a.truth(id, document, now).map(|truth| !truth),
        }
    }
}

fn holds(operator: &str, order: Ordering) -> bool {
    match operator {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        "==" => order.is_eq(),
        _ => order.is_ne(),
    }
}
