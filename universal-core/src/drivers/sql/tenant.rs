//! Tenants.

use crate::{drivers::sql::connection::Database, error::Result, id::TenantId};

impl Database {
    /// Makes sure that a tenant and its feed exist.
    pub(crate) async fn create_tenant(&self, tenant: &TenantId) -> Result<()> {
        let tenant = tenant.clone();
        self.write(move |write| {
            let tenant = tenant.clone();
            Box::pin(async move {
                let now = write.dialect().now();
                let sql =
                    format!("INSERT INTO universal_tenants (id, created_at) VALUES ($1, {now}) ON CONFLICT DO NOTHING");
                write.execute(&sql, vec![tenant.as_str().into()]).await?;
                let sql = "INSERT INTO universal_feeds (tenant_id, epoch, head, floor) VALUES ($1, $2, 0, 0)
                    ON CONFLICT DO NOTHING";
                let epoch = crate::id::random_hex(6)?;
                write.execute(sql, vec![tenant.as_str().into(), epoch.into()]).await.map(|_| ())
            })
        })
        .await
    }
}
