//! Imports: lines drawn by chance, and what becomes of them.

use proptest::{
    collection::vec,
    option, prop_oneof,
    sample::select,
    strategy::{BoxedStrategy, Just, Strategy as _},
};
use serde_json::{Map, Value, json};
use universal_core::clock::Timestamp;

use super::{
    drawn::{IDS, Place, body},
    world::{Asker, Condition, Key, Refusal, World, members, refusal},
};

/// 2020-01-01T00:00:00Z, in microseconds: from where the moments of lines count.
const THEN: i64 = 1_577_836_800_000_000;
/// What is no document, and the code of its refusal.
const WRONG: [(&str, &str); 7] = [
    ("{\"n\": ", "invalid-json"),
    ("[1]", "not-an-object"),
    ("{\"id\": 1}", "invalid-id"),
    ("{\"id\": \"_x\", \"n\": 1}", "invalid-id"),
    ("{\"n\": {\"$now\": true}}", "reserved-key"),
    ("{\"n\": 1, \"n\": 2}", "duplicate-key"),
    ("{\"n\": 9223372036854775808}", "integer-out-of-range"),
];

/// Lines that are sent at once.
#[derive(Clone, Debug)]
pub(super) struct Import {
    pub(super) lines: Vec<Line>,
    pub(super) upsert: bool,
    /// All of them or none.
    pub(super) whole: bool,
    /// Owner and moments are those of the lines.
    pub(super) keep: bool,
}

/// A line.
#[derive(Clone, Debug)]
pub(super) enum Line {
    Document(Option<&'static str>, Value, Meta),
    Blank,
    /// The place in the list of what is wrong.
    Wrong(usize),
}

/// What a line says in its `_meta`: the number of the owner, or that there is none, and moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    owner: Option<Option<usize>>,
    created: Option<i64>,
    updated: Option<i64>,
}

pub(super) fn import() -> BoxedStrategy<Import> {
    let moment = || option::weighted(0.5, (0_i64..1000).prop_map(|number| THEN + number * 1_000_000_000));
    let meta = (option::weighted(0.5, option::weighted(0.7, 0_usize..3)), moment(), moment())
        .prop_map(|(owner, created, updated)| Meta { owner, created, updated });
    let line = prop_oneof![
        12 => (option::weighted(0.8, select(&IDS[..])), body(), meta)
            .prop_map(|(id, body, meta)| Line::Document(id, body, meta)),
        1 => Just(Line::Blank),
        1 => (0..WRONG.len()).prop_map(Line::Wrong),
    ];
    let sometimes = |weight| proptest::bool::weighted(weight);
    (vec(line, 0..8), sometimes(0.6), sometimes(0.4), sometimes(0.3))
        .prop_map(|(lines, upsert, whole, keep)| Import { lines, upsert, whole, keep })
        .boxed()
}

impl Import {
    /// The bytes that a caller sends.
    pub(super) fn text(&self, users: &[String; 3]) -> String {
        let lines = self.lines.iter().map(|line| match line {
            Line::Blank => " ".to_owned(),
            Line::Wrong(number) => WRONG[*number].0.to_owned(),
            Line::Document(id, body, meta) => {
                let mut members = body.as_object().unwrap().clone();
                members.extend(id.map(|id| ("id".to_owned(), json!(id))));
                members.insert("_meta".to_owned(), meta.show(users));
                Value::Object(members).to_string()
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Meta {
    fn show(self, users: &[String; 3]) -> Value {
        let mut shown = Map::new();
        if let Some(owner) = self.owner {
            shown.insert("owner".to_owned(), owner.map(|number| users[number].clone()).into());
        }
        for (name, moment) in [("created_at", self.created), ("updated_at", self.updated)] {
            shown.extend(moment.map(|moment| (name.to_owned(), Timestamp::from_micros(moment).to_string().into())));
        }
        shown.into()
    }
}

impl World {
    /// What an import answers.
    pub(super) fn import(&mut self, by: &Asker, place: Place, import: &Import) -> Result<Value, Refusal> {
        if import.keep {
            by.administers()?;
        }
        by.admitted(place)?;
        let numbered = || import.lines.iter().enumerate().map(|(index, line)| (index + 1, line));
        if import.whole {
            // All are read before any is written.
            let wrong = numbered().find_map(|(number, line)| match line {
                Line::Wrong(which) => Some(refusal("Invalid", WRONG[*which].1).at(number)),
                _ => None,
            });
            wrong.map_or(Ok(()), Err)?;
        }
        let before = self.clone();
        let (mut created, mut updated, mut errors) = (0, 0, Vec::new());
        for (number, line) in numbered() {
            let done = match line {
                Line::Blank => continue,
                Line::Wrong(which) => Err(refusal("Invalid", WRONG[*which].1)),
                Line::Document(id, body, meta) => {
                    let document = (id.map(|id| (by.tenant, place, id.to_owned())), body);
                    self.line(by, place, document, import.upsert, import.keep.then_some(*meta))
                }
            };
            match done {
                Ok(true) => created += 1,
                Ok(false) => updated += 1,
                Err(refusal) if import.whole => {
                    *self = before;
                    return Err(refusal.at(number));
                }
                Err(refusal) => errors.push(json!({"line": number, "code": refusal.code})),
            }
        }
        let lines = import.lines.iter().filter(|line| !matches!(line, Line::Blank)).count();
        Ok(json!({
            "lines": lines, "created": created, "updated": updated, "failed": errors.len(), "errors": errors,
        }))
    }

    /// Writes a line; whether the document is new.
    fn line(
        &mut self,
        by: &Asker,
        place: Place,
        (key, body): (Option<Key>, &Value),
        upsert: bool,
        meta: Option<Meta>,
    ) -> Result<bool, Refusal> {
        let body = members(body);
        let (key, is_new) = match key {
            Some(key) if upsert => {
                let is_new = self.replace(by, &key, &body, &Condition::None)?.1;
                (key, is_new)
            }
            key => (self.create(by, place, key, &body)?.0, true),
        };
        if let Some(meta) = meta {
            self.keep(&key, meta);
        }
        Ok(is_new)
    }

    /// The document that was written last keeps what a line says of it.
    fn keep(&mut self, key: &Key, meta: Meta) {
        let owner = meta.owner.map(|owner| owner.map(|number| self.users[number].clone()));
        let document = self.documents.get_mut(key).unwrap();
        if let Some(owner) = owner {
            document.owner = owner;
        }
        document.created = meta.created.unwrap_or(document.created);
        // The feed tells when the line was written.
        let mut told = document.clone();
        document.updated = meta.updated.unwrap_or(document.updated).max(document.created);
        told.updated = document.updated.max(self.now);
        self.feed[key.0].last_mut().unwrap().after = Some(told);
    }
}
