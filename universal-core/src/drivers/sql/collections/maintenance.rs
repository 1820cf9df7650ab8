//! What collections need done from time to time.

use async_trait::async_trait;

use crate::{
    caller::Caller,
    collections::{
        port::Maintenance,
        state::{CollectionState, Progress},
    },
    drivers::sql::{collections::service::SqlCollections, statement::column},
    error::{ErrorKind, Result},
    id::{CollectionName, TenantId},
};

#[async_trait]
impl Maintenance for SqlCollections {
    async fn maintain(&self) -> Result<bool> {
        // One that fails keeps no other from its turn.
        let outcomes = [self.expire().await, self.rebuild_all().await, self.settle_all().await];
        let mut more = false;
        for outcome in outcomes {
            more |= outcome?;
        }
        Ok(more)
    }
}

impl SqlCollections {
    /// Goes on with dropping and renaming; answers whether some of it goes on still.
    async fn settle_all(&self) -> Result<bool> {
        let mut more = false;
        for row in self.database.all(UNSETTLED, vec![]).await? {
            let caller = Caller::system(TenantId::trusted(column::<String>(&row, 0)?));
            let collection = CollectionName::trusted(column::<String>(&row, 1)?);
            let to: Option<String> = column(&row, 3)?;
            let outcome = match (CollectionState::stored(&column::<String>(&row, 2)?)?, to) {
                (CollectionState::Dropping, _) => self.go_on_dropping(&caller, &collection).await,
                (CollectionState::Renaming, Some(to)) => {
                    self.go_on_renaming(&caller, &collection, &CollectionName::trusted(to)).await
                }
                _ => Ok(Progress::Done),
            };
            more |= settled(&collection, outcome)?;
        }
        Ok(more)
    }
}

fn settled(collection: &CollectionName, outcome: Result<Progress>) -> Result<bool> {
    match outcome {
        Ok(progress) => Ok(progress == Progress::Continues),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            tracing::warn!(%collection, code = error.code(), "a collection could not be dropped or renamed");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Goes across tenants, as the upkeep does.
const UNSETTLED: &str = "SELECT tenant_id, name, state, renamed_to FROM universal_collections
    WHERE state <> 'active' AND (state = 'dropping' OR renamed_to IS NOT NULL)
    ORDER BY tenant_id, name LIMIT 20";
