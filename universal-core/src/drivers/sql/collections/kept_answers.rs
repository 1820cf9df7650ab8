//! Answers of idempotency keys that nobody may ask for any more.

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    collections::idempotency::KeptAnswers,
    drivers::sql::{collections::service::SqlCollections, statement::column},
    error::Result,
};

/// How many answers are forgotten in one commit.
const STEP: i64 = 200;

const FORGET: &str = "DELETE FROM universal_idempotency WHERE tenant_id = $1 AND (principal, key) IN (
    SELECT principal, key FROM universal_idempotency WHERE tenant_id = $1 AND created_at <= $2
    ORDER BY created_at LIMIT $3)";

#[async_trait]
impl KeptAnswers for SqlCollections {
    async fn forget(&self, moment: Timestamp) -> Result<bool> {
        let mut more = false;
        for row in self.database.all("SELECT id FROM universal_tenants ORDER BY id", vec![]).await? {
            let tenant: String = column(&row, 0)?;
            let forgotten = self.database.write(move |write| {
                let values = vec![tenant.clone().into(), moment.as_micros().into(), STEP.into()];
                Box::pin(async move { write.execute(FORGET, values).await })
            });
            more |= forgotten.await? == STEP as u64;
        }
        Ok(more)
    }
}
