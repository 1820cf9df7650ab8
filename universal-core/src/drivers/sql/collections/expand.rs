//! References followed: one statement for all documents of a collection at one distance from the answer's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    clock::Timestamp,
    collections::{
        decide,
        document::Document,
        expand::{
            Branch, Expand, Followed, Library, MAX_EXPAND_DEPTH, MAX_EXPANSIONS, MOST_BYTES, Step, ids, too_large,
        },
        fields::Fields,
        name_list::label,
    },
    drivers::sql::{
        collections::{configurations::Known, rows, service::SqlCollections},
        reach::Reach,
        statement::{Row, text_length},
    },
    error::{Error, ErrorKind, Result},
    id::CollectionName,
    json::{Object, members_to_text},
};

/// Who reads what, by which settings, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub(super) caller: &'a Caller,
    pub(super) collection: &'a CollectionName,
    pub(super) known: &'a Known,
    pub(super) now: Timestamp,
}

impl SqlCollections {
    /// Documents that the caller may see, with those that they refer to, and with the selected members alone. Without
    /// either they pass through.
    pub(super) async fn arranged(
        &self,
        reading: &Reading<'_>,
        documents: Vec<Document>,
        fields: Option<&Fields>,
        expand: Option<&Expand>,
    ) -> Result<Vec<Document>> {
        if fields.is_none() && expand.is_none() {
            return Ok(documents);
        }
        let members: Result<Vec<_>> = documents.iter().map(members_of).collect();
        let members = members?;
        let (steps, mut library) = match expand {
            Some(expand) => {
                let steps = self.steps(reading, expand).await?;
                let library = self.follow(reading, &steps, &members).await?;
                (steps, library)
            }
            None => (Vec::new(), Library::default()),
        };
        let arranged = documents.into_iter().zip(&members).map(|(mut document, members)| {
            document.expanded = library.expanded(&steps, members)?;
            if let Some(fields) = fields {
                document.body = members_to_text(&fields.project(members)).into();
            }
            Ok(document)
        });
        arranged.collect()
    }

    /// The steps along the ways of `expand`, the first of them the answer's own documents.
    async fn steps(&self, reading: &Reading<'_>, expand: &Expand) -> Result<Vec<Step>> {
        let (caller, known) = (reading.caller, reading.known);
        let mut steps = vec![Step::new(reading.collection.clone(), Arc::clone(&known.configured))];
        for names in expand.paths() {
            let (mut at, mut rest, mut depth) = (0, names, 0);
            while !rest.is_empty() {
                depth += 1;
                let step = steps.get(at).ok_or_else(|| Error::internal("a step is missing"))?;
                let (path, target, behind) = step.reference(caller, rest)?;
                let existing = step.branches.iter().find(|branch| branch.path == path).map(|branch| branch.to);
                let new = steps.len();
                if depth > MAX_EXPAND_DEPTH || (existing.is_none() && new > MAX_EXPANSIONS) {
                    let message =
                        format!("references are followed {MAX_EXPAND_DEPTH} deep, and {MAX_EXPANSIONS} of them in all");
                    return Err(Error::invalid("invalid-expand", message).with_field("expand"));
                }
                if existing.is_none() {
                    // The settings of the same moment as those of the answer's own collection.
                    let known = self.configurations.at_version(caller.tenant(), &target, known.tenant_version).await?;
                    let branch = Branch { label: label(&path.field()), path, to: new };
                    steps.push(Step::new(target, known.configured));
                    if let Some(step) = steps.get_mut(at) {
                        step.branches.push(branch);
                    }
                }
                (at, rest) = (existing.unwrap_or(new), behind);
            }
        }
        Ok(steps)
    }

    /// Reads all documents that the steps lead to.
    async fn follow(&self, reading: &Reading<'_>, steps: &[Step], own: &[Map<String, Value>]) -> Result<Library> {
        let mut library = Library::default();
        let mut ways = wanted(steps, 0, own.iter());
        while !ways.is_empty() {
            let mut by_collection: BTreeMap<&CollectionName, (&Step, BTreeSet<String>)> = BTreeMap::new();
            for (step, ids) in &ways {
                let Some(step) = steps.get(*step) else { continue };
                by_collection.entry(&step.collection).or_insert_with(|| (step, BTreeSet::new())).1.extend(ids.clone());
            }
            for (collection, (step, ids)) in by_collection {
                let missing = library.missing(collection, &ids)?;
                if !missing.is_empty() {
                    let found = self.read_all(reading, step, &missing).await?;
                    library.keep(collection, missing, found);
                }
            }
            let mut next = Vec::new();
            for (at, ids) in ways {
                let Some(step) = steps.get(at) else { continue };
                let found: Vec<_> = ids.iter().filter_map(|id| library.find(&step.collection, id)).collect();
                next.extend(wanted(steps, at, found.iter().map(|found| &found.members)));
            }
            ways = next;
        }
        Ok(library)
    }

    /// The documents of a step with these ids that the caller may read, by one statement.
    async fn read_all(&self, reading: &Reading<'_>, step: &Step, ids: &[String]) -> Result<Vec<Followed>> {
        let dialect = self.database.dialect();
        let sql = format!(
            "SELECT {} FROM universal_documents WHERE tenant_id = $1 AND collection = $2 AND id IN {}",
            rows::columns(dialect),
            dialect.texts("$3")
        );
        let ids = serde_json::to_string(ids).map_err(Error::internal)?;
        let values = vec![reading.caller.tenant().as_str().into(), step.collection.as_str().into(), ids.into()];
        let size = |row: &Row| text_length(row, 1);
        let (rows, cut) = self.database.some(Reach::Key, &sql, values, MOST_BYTES, size).await?;
        if cut {
            return Err(too_large());
        }
        let mut found = Vec::new();
        for row in rows {
            let document = rows::document(dialect, &step.collection, &row)?;
            match decide::read(reading.caller, &step.configured, Some(document), reading.now) {
                Ok(document) => found.push(Followed { members: members_of(&document)?, document }),
                // What the caller may not read is not there.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unauthenticated) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

/// The ids that the references of a step name in these members, by the step that each leads to.
fn wanted<'m>(
    steps: &[Step],
    at: usize,
    members: impl Iterator<Item = &'m Map<String, Value>> + Clone,
) -> Vec<(usize, BTreeSet<String>)> {
    let branches = steps.get(at).map(|step| step.branches.as_slice()).unwrap_or_default();
    let of_branch = |branch: &Branch| {
        let named = members.clone().flat_map(|members| ids(&branch.path, members)).map(str::to_owned);
        (branch.to, named.collect())
    };
    branches.iter().map(of_branch).collect()
}

fn members_of(document: &Document) -> Result<Map<String, Value>> {
    Object::from_stored(&document.body).map(Object::into_map)
}
