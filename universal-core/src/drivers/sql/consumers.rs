//! The places of consumers in the feeds.

use async_trait::async_trait;
use sea_orm::Value;

use crate::{
    cursor::Cursor,
    drivers::sql::{connection::Database, statement::column},
    error::Result,
    id::TenantId,
    realtime::consumer::{Holder, Positions},
};

/// Places in a SQL database.
#[derive(Clone, Debug)]
pub(crate) struct SqlPositions {
    database: Database,
}

impl SqlPositions {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Runs one statement in a commit of its own; answers how many rows it changed.
    async fn execute(&self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        self.database
            .write(move |write| {
                let values = values.clone();
                Box::pin(async move { write.execute(sql, values).await })
            })
            .await
    }
}

#[async_trait]
impl Positions for SqlPositions {
    async fn register(&self, consumer: &str) -> Result<()> {
        let consumer = consumer.to_owned();
        self.database
            .write(move |write| {
                let consumer = consumer.clone();
                Box::pin(async move {
                    let name = || -> Vec<Value> { vec![consumer.as_str().into()] };
                    let known = write.one(KNOWN, name()).await?.is_some();
                    write.execute(if known { REGISTER_FROM_START } else { REGISTER_FROM_NOW }, name()).await.map(|_| ())
                })
            })
            .await
    }

    async fn waiting(
        &self,
        consumer: &str,
        holder: Holder<'_>,
        after: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>> {
        let values = vec![
            after.map_or("", |after| after.as_str()).into(),
            consumer.into(),
            holder.node.into(),
            holder.now.as_micros().into(),
            i64::from(limit).into(),
        ];
        let rows = self.database.all(WAITING, values).await?;
        rows.iter().map(|row| Ok(TenantId::trusted(column::<String>(row, 0)?))).collect()
    }

    async fn take(&self, consumer: &str, tenant: &TenantId, holder: Holder<'_>) -> Result<Option<Cursor>> {
        let values: Vec<Value> = vec![
            tenant.as_str().into(),
            consumer.into(),
            holder.node.into(),
            holder.until.as_micros().into(),
            holder.now.as_micros().into(),
        ];
        self.database
            .write(move |write| {
                let values = values.clone();
                Box::pin(async move {
                    let row = write.one(TAKE, values).await?;
                    row.map(|row| Ok(Cursor::new(column::<String>(&row, 0)?, column(&row, 1)?))).transpose()
                })
            })
            .await
    }

    async fn advance(
        &self,
        consumer: &str,
        tenant: &TenantId,
        holder: Holder<'_>,
        from: &Cursor,
        to: &Cursor,
    ) -> Result<bool> {
        let values = vec![
            tenant.as_str().into(),
            consumer.into(),
            holder.node.into(),
            holder.until.as_micros().into(),
            (**from.epoch()).into(),
            from.seq().into(),
            (**to.epoch()).into(),
            to.seq().into(),
        ];
        Ok(self.execute(ADVANCE, values).await? > 0)
    }

    async fn release(&self, consumer: &str, node: &str) -> Result<()> {
        self.execute(RELEASE, vec![consumer.into(), node.into()]).await.map(|_| ())
    }
}

const KNOWN: &str = "SELECT tenant_id FROM universal_consumers WHERE name = $1 LIMIT 1";

const REGISTER_FROM_NOW: &str = "INSERT INTO universal_consumers (tenant_id, name, epoch, seq)
    SELECT tenant_id, $1, epoch, head FROM universal_feeds WHERE true ON CONFLICT DO NOTHING";

const REGISTER_FROM_START: &str = "INSERT INTO universal_consumers (tenant_id, name, epoch, seq)
    SELECT tenant_id, $1, epoch, floor FROM universal_feeds WHERE true ON CONFLICT DO NOTHING";

const WAITING: &str = "SELECT f.tenant_id FROM universal_feeds f
    LEFT JOIN universal_consumers c ON c.tenant_id = f.tenant_id AND c.name = $2
    WHERE f.tenant_id > $1 AND (c.seq IS NULL OR c.epoch <> f.epoch OR c.seq < f.head)
        AND (c.holder IS NULL OR c.holder = $3 OR c.held_until < $4)
    ORDER BY f.tenant_id LIMIT $5";

/// A feed that came after the consumer was made known is read from its first change.
const TAKE: &str = "INSERT INTO universal_consumers (tenant_id, name, epoch, seq, holder, held_until)
    SELECT tenant_id, $2, epoch, floor, $3, $4 FROM universal_feeds WHERE tenant_id = $1
    ON CONFLICT (tenant_id, name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
        WHERE universal_consumers.holder IS NULL OR universal_consumers.holder = excluded.holder
            OR universal_consumers.held_until < $5
    RETURNING epoch, seq";

const ADVANCE: &str = "UPDATE universal_consumers SET epoch = $7, seq = $8, held_until = $4
    WHERE tenant_id = $1 AND name = $2 AND holder = $3 AND epoch = $5 AND seq = $6";

const RELEASE: &str = "UPDATE universal_consumers SET holder = NULL, held_until = NULL WHERE name = $1 AND holder = $2";
