//! Which index a list uses, for what, and why not the others.

use serde::Serialize;

use crate::{
    collections::{
        index::{Index, field_text},
        plan::{Scan, Verdict},
        query::{Direction, Sort},
    },
    expr::Expression,
};

/// How the rows of a list are found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The index that is used; without one the collection is gone through by the ids of its documents, or of those of
    /// one owner.
    pub index: Option<IndexUse>,
    /// The rule that each document found is asked, as it is for this caller; `owner` is the owner rule.
    pub rule: Option<String>,
    /// The filter that each document found is asked.
    pub filter: Option<String>,
    /// Whether all documents found are sorted before the first is answered.
    pub sorts: bool,
    /// What was thought of each index.
    pub considered: Vec<Considered>,
}

/// What an index is used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IndexUse {
    /// Its name.
    pub name: String,
    /// The first fields, which have one value.
    pub equality: Vec<String>,
    /// The field after them, which is bounded.
    pub range: Option<String>,
    /// Whether its order is the list's.
    pub order: bool,
}

/// An index and whether it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Considered {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<String>,
    /// What was thought of it.
    pub verdict: String,
}

impl Explanation {
    /// Puts verdicts into words. `rule` is the rule's text where there is one to be asked.
    pub(crate) fn of(
        indexes: &[Index],
        verdicts: &[Verdict<'_>],
        (rule, filter, sort): (Option<String>, Option<&Expression>, &[Sort]),
    ) -> Self {
        let scan = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Chosen(scan) => Some(scan),
            _ => None,
        });
        let by_id = |key: &Sort| key.field == crate::expr::Field::Id;
        let sorts = match scan {
            Some(scan) => scan.order.is_none(),
            None => !sort.first().is_none_or(by_id),
        };
        Self {
            index: scan.map(used),
            rule,
            filter: filter.map(Expression::to_text),
            sorts,
            considered: indexes.iter().zip(verdicts).map(|(index, verdict)| considered(index, verdict)).collect(),
        }
    }
}

fn used(scan: &Scan<'_>) -> IndexUse {
    let fields = scan.index.field_texts();
    let name = |position: usize| scan.index.fields.get(position).map(|part| part.field.to_text());
    IndexUse {
        name: scan.index.name.to_string(),
        equality: (0..scan.equal.min(fields.len())).filter_map(name).collect(),
        range: if scan.range { name(scan.equal) } else { None },
        order: scan.order.is_some(),
    }
}

fn considered(index: &Index, verdict: &Verdict<'_>) -> Considered {
    let verdict = match verdict {
        Verdict::Chosen(scan) if scan.order.is_some_and(|order| order.key != order.id) => {
            "used, backwards: documents that tie are sorted by id".to_owned()
        }
        Verdict::Chosen(_) => "used".to_owned(),
        Verdict::Second => "another way finds fewer documents, or finds them in order".to_owned(),
        Verdict::Useless if index.cut => {
            "its first field is not compared with a known value, and texts of more than 256 bytes keep it from ordering"
                .to_owned()
        }
        Verdict::Useless => {
            let first = index.fields.first().map(first).unwrap_or_default();
            format!("{first} is not compared with a known value, and its order is not the list's")
        }
        Verdict::Building => "it does not hold all documents yet".to_owned(),
    };
    Considered { name: index.name.to_string(), fields: index.fields.iter().map(field_text).collect(), verdict }
}

fn first(part: &Sort) -> String {
    let part = Sort::new(part.field.clone(), Direction::Ascending);
    format!("`{}`", field_text(&part))
}
