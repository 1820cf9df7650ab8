//! What a client asks for, checked.

use std::sync::Arc;

use universal_core::{
    caller::Caller,
    cursor::Cursor,
    error::{Error, Result},
    expr::{Expression, Scope},
    id::{CollectionName, DocumentId},
    realtime::{Realtime, Subscribe, Subscription},
};

/// What stands in the place of a collection's name for all collections of the tenant.
const ALL: &str = "*";

/// A subscription or a watch.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    subscribe: Subscribe,
    watches: bool,
}

impl Wanted {
    /// A subscription.
    ///
    /// # Errors
    /// `Invalid` naming the member.
    pub(super) fn parse(collection: &str, id: Option<&str>, filter: Option<&str>, since: Option<&str>) -> Result<Self> {
        let mut subscribe = match collection {
            ALL => Subscribe::to_tenant(),
            name => Subscribe::to(CollectionName::new(name)?),
        };
        if let Some(id) = id {
            subscribe = subscribe.with_id(DocumentId::new(id)?);
        }
        if let Some(filter) = filter.filter(|text| !text.trim().is_empty()) {
            let filter = Expression::parse(filter, Scope::Filter).map_err(|error| match error.field() {
                Some(_) => error,
                None => error.with_field("filter"),
            })?;
            subscribe = subscribe.with_filter(filter);
        }
        if let Some(since) = since {
            subscribe = subscribe.with_since(since.parse().map_err(|error: Error| error.with_field("since"))?);
        }
        Ok(Self { subscribe, watches: false })
    }

    /// The same as a watch, whose documents the client may hold already.
    pub(super) fn watched(mut self, basis: Option<&str>) -> Self {
        self.watches = true;
        if let Some(basis) = basis {
            self.subscribe = self.subscribe.with_basis(basis);
        }
        self
    }

    /// The same from another place on, of a watch only if its documents are known.
    pub(super) fn from(mut self, place: Option<(Cursor, Option<Arc<str>>)>) -> Self {
        (self.subscribe.since, self.subscribe.basis) = match place {
            Some((cursor, basis)) => (Some(cursor), basis),
            None => (None, None),
        };
        self
    }

    /// Opens it.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn open(&self, service: &dyn Realtime, caller: &Caller) -> Result<Subscription> {
        match self.watches {
            true => service.watch(caller, self.subscribe.clone()).await,
            false => service.subscribe(caller, self.subscribe.clone()).await,
        }
    }
}
