//! Which collections refer to which, so that a deletion knows where to look.

use std::{collections::HashMap, sync::Arc};

use crate::{
    collections::{configured::Configured, member::Path, settings::OnDelete},
    drivers::sql::collections::hooks::CollectionHooks,
    id::CollectionName,
};

/// A member of a collection that refers to documents, and what their deletion does.
#[derive(Clone, Debug)]
pub(super) struct Referrer {
    /// The collection whose documents refer.
    pub(super) collection: CollectionName,
    /// The member.
    pub(super) path: Path,
    /// What a deletion does.
    pub(super) on_delete: OnDelete,
    /// The settings of the collection that refers.
    pub(super) configured: Arc<Configured>,
    /// What the host does with each write of it.
    pub(super) hooks: Option<Arc<CollectionHooks>>,
}

/// The referrers of each collection of a tenant.
#[derive(Debug, Default)]
pub(super) struct Inbound(HashMap<CollectionName, Vec<Referrer>>);

impl Inbound {
    /// Who refers to documents of `target`, where their deletion has a consequence.
    pub(super) fn of(&self, target: &CollectionName) -> &[Referrer] {
        self.0.get(target).map_or(&[], Vec::as_slice)
    }

    /// Adds what the settings of `collection` declare.
    pub(super) fn add(
        &mut self,
        collection: &CollectionName,
        configured: &Arc<Configured>,
        hooks: Option<&Arc<CollectionHooks>>,
    ) {
        for (path, target, on_delete) in configured.references() {
            if *on_delete != OnDelete::Nothing {
                self.0.entry(target.clone()).or_default().push(Referrer {
                    collection: collection.clone(),
                    path: path.clone(),
                    on_delete: *on_delete,
                    configured: Arc::clone(configured),
                    hooks: hooks.cloned(),
                });
            }
        }
    }
}

/// The collections whose settings declare references. A schema may hold the words too; that costs a look.
pub(super) const REFERRING: &str = "SELECT name FROM universal_collections
    WHERE tenant_id = $1 AND settings LIKE '%\"references\":{%' ORDER BY name";
