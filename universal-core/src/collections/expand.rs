//! References followed: the documents that a document names, shown with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    collections::{
        configured::Configured,
        document::{Document, Expanded},
        member::Path,
        name_list::{field, label, split},
    },
    error::{Error, Result},
    expr::Field,
    id::CollectionName,
};

/// How many references are followed one after the other at most.
pub const MAX_EXPAND_DEPTH: usize = 4;
/// How many references an `expand` follows at most, counting each way.
pub const MAX_EXPANSIONS: usize = 16;
/// How many documents are read for one answer at most, beside its own.
pub const MAX_EXPANDED: usize = 1000;
/// How many bytes the followed documents add to an answer at most, each counted as often as it is shown.
pub(crate) const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Which references are followed: `author`, or `comments.author` for the authors of the comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expand {
    paths: Vec<Arc<[Arc<str>]>>,
}

impl Expand {
    /// Reads ways along references, separated by commas.
    ///
    /// # Errors
    /// `Invalid` with the position. Whether a name is a reference is known with the collection's settings.
    pub fn parse(text: &str) -> Result<Self> {
        let mut paths = Vec::new();
        for part in split(text) {
            let Field::Document(names) = field(part, "invalid-expand", "expand")? else {
                let message = "`expand` takes members that are references; `id` and `meta` are none";
                return Err(Error::invalid("invalid-expand", message).with_field("expand").with_position(part.0));
            };
            if paths.len() == MAX_EXPANSIONS {
                let message = format!("at most {MAX_EXPANSIONS} references are followed");
                return Err(Error::invalid("invalid-expand", message).with_field("expand").with_position(part.0));
            }
            paths.push(names);
        }
        Ok(Self { paths })
    }

    /// The names of each way.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &[Arc<str>]> {
        self.paths.iter().map(AsRef::as_ref)
    }
}

/// Documents of one collection at one place of the ways, and the references that are followed from there.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) collection: CollectionName,
    pub(crate) configured: Arc<Configured>,
    pub(crate) branches: Vec<Branch>,
}

/// A reference that is followed.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) label: String,
    pub(crate) path: Path,
    /// The place of the step that it leads to.
    pub(crate) to: usize,
}

impl Step {
    /// No reference is followed from it yet.
    pub(crate) fn new(collection: CollectionName, configured: Arc<Configured>) -> Self {
        Self { collection, configured, branches: Vec::new() }
    }

    /// The reference that the first of `names` are, the collection it leads to and the names behind it. The longest
    /// one, if one holds another.
    ///
    /// # Errors
    /// `Invalid` `invalid-expand` if there is none that `caller` may name.
    pub(crate) fn reference<'n>(
        &self,
        caller: &Caller,
        names: &'n [Arc<str>],
    ) -> Result<(Path, CollectionName, &'n [Arc<str>])> {
        let hidden = self.configured.hidden_from(caller);
        let fitting = self.configured.references().iter().filter_map(|(path, target, _)| {
            let rest = path.leads_into(names)?;
            let seen = !hidden.iter().any(|hidden| hidden.covers(&path.field()));
            seen.then_some((path.clone(), target.clone(), rest))
        });
        fitting.min_by_key(|(_, _, rest)| rest.len()).ok_or_else(|| {
            let name = label(&Field::Document(names.into()));
            let message = format!("`{name}` begins with no reference of the collection `{}`", self.collection);
            Error::invalid("invalid-expand", message).with_field("expand")
        })
    }
}

/// The ids that stand at a reference: one, or several in an array.
pub(crate) fn ids<'m>(path: &Path, members: &'m Map<String, Value>) -> Vec<&'m str> {
    match path.get(members) {
        Some(Value::String(id)) => vec![id],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A document that was read for a reference, as the caller may see it.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) document: Document,
    pub(crate) members: Map<String, Value>,
}

/// What was read, and what is made of it.
#[derive(Debug, Default)]
pub(crate) struct Library {
    /// By collection and id; none for what is not there or not for this caller.
    books: BTreeMap<CollectionName, BTreeMap<String, Option<Arc<Followed>>>>,
    read: usize,
    made: BTreeMap<(usize, String), (Arc<Document>, usize)>,
    bytes: usize,
}

impl Library {
    /// The ids among `wanted` that were not looked for yet.
    ///
    /// # Errors
    /// `Invalid` `expand-too-large` if that would be too many in all.
    pub(crate) fn missing(&mut self, collection: &CollectionName, wanted: &BTreeSet<String>) -> Result<Vec<String>> {
        let known = self.books.entry(collection.clone()).or_default();
        let missing: Vec<String> = wanted.iter().filter(|id| !known.contains_key(*id)).cloned().collect();
        self.read += missing.len();
        if self.read > MAX_EXPANDED { Err(too_large()) } else { Ok(missing) }
    }

    /// Keeps what was found of the ids that were looked for.
    pub(crate) fn keep(&mut self, collection: &CollectionName, looked_for: Vec<String>, found: Vec<Followed>) {
        let known = self.books.entry(collection.clone()).or_default();
        known.extend(looked_for.into_iter().map(|id| (id, None)));
        known.extend(found.into_iter().map(|found| (found.document.id.as_str().to_owned(), Some(Arc::new(found)))));
    }

    /// A document that was read.
    pub(crate) fn find(&self, collection: &CollectionName, id: &str) -> Option<Arc<Followed>> {
        self.books.get(collection)?.get(id)?.clone()
    }

    /// The documents that one of the answer's own names, with all that they name.
    ///
    /// # Errors
    /// `Invalid` `expand-too-large` if the answer would become too large.
    pub(crate) fn expanded(&mut self, steps: &[Step], members: &Map<String, Value>) -> Result<Vec<(String, Expanded)>> {
        let (expanded, bytes) = self.at(steps, 0, members);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MOST_BYTES { Err(too_large()) } else { Ok(expanded) }
    }

    /// The recursion is as deep as the ways are long.
    fn at(&mut self, steps: &[Step], step: usize, members: &Map<String, Value>) -> (Vec<(String, Expanded)>, usize) {
        let (mut expanded, mut bytes) = (Vec::new(), 0_usize);
        let branches = steps.get(step).map(|step| step.branches.as_slice()).unwrap_or_default();
        for branch in branches {
            let many = matches!(branch.path.get(members), Some(Value::Array(_)));
            let found: Vec<(Arc<Document>, usize)> =
                ids(&branch.path, members).into_iter().filter_map(|id| self.made(steps, branch.to, id)).collect();
            bytes = found.iter().fold(bytes, |sum, (_, bytes)| sum.saturating_add(*bytes));
            let mut found = found.into_iter().map(|(document, _)| document);
            if many {
                expanded.push((branch.label.clone(), Expanded::Many(found.collect())));
            } else if let Some(one) = found.next() {
                expanded.push((branch.label.clone(), Expanded::One(one)));
            }
        }
        (expanded, bytes)
    }

    /// A document at a step with all that it names; each is made once, however often it is named.
    fn made(&mut self, steps: &[Step], step: usize, id: &str) -> Option<(Arc<Document>, usize)> {
        let key = (step, id.to_owned());
        if let Some(made) = self.made.get(&key) {
            return Some(made.clone());
        }
        let found = self.find(&steps.get(step)?.collection, id)?;
        let (expanded, bytes) = self.at(steps, step, &found.members);
        let document = found.document.clone().with_expanded(expanded);
        let made = (Arc::new(document), bytes.saturating_add(found.document.body.len() + 220));
        self.made.insert(key, made.clone());
        Some(made)
    }
}

/// The answer to an `expand` that would read or show too much.
pub(crate) fn too_large() -> Error {
    let message = format!(
        "the references lead to more than {MAX_EXPANDED} documents or add more than 8 MiB; ask for smaller pages or fewer \
         references"
    );
    Error::invalid("expand-too-large", message).with_field("expand")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_names_of_members() {
        assert_eq!(Expand::parse("author, comments.author").unwrap().paths().count(), 2);
        for (text, position) in [("", 0), ("a,id", 2), ("meta.owner", 0), ("a b", 2), ("a,", 2)] {
            let error = Expand::parse(text).unwrap_err();
            assert_eq!((error.code(), error.position()), ("invalid-expand", Some(position)), "{text}");
        }
        assert!(Expand::parse(&vec!["a"; 17].join(",")).is_err());
    }
}
