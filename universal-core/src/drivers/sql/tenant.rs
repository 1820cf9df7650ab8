//! Tenants.

use crate::{
    drivers::sql::{connection::Database, statement::column, write::Write},
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

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

    /// Keeps the accounts of a tenant out, or lets them in again.
    pub(crate) async fn set_tenant_disabled(&self, tenant: &TenantId, disabled: bool) -> Result<()> {
        if disabled && *tenant == TenantId::default_tenant() {
            let message = "the tenant `default` cannot be disabled: callers without a token are in it";
            return Err(Error::invalid("default-tenant", message));
        }
        let tenant = tenant.clone();
        let known = self.write(move |write| {
            let tenant = tenant.clone();
            Box::pin(async move {
                let sql = "UPDATE universal_tenants SET disabled = $2 WHERE id = $1 RETURNING id";
                write.one(sql, vec![tenant.as_str().into(), disabled.into()]).await
            })
        });
        known.await?.map(drop).ok_or_else(unknown)
    }
}

/// Makes sure that a tenant exists and lets accounts in.
pub(super) async fn admits(write: &mut Write<'_>, tenant: &TenantId) -> Result<()> {
    let sql = "SELECT disabled FROM universal_tenants WHERE id = $1";
    let row = write.one(sql, vec![tenant.as_str().into()]).await?.ok_or_else(unknown)?;
    if column(&row, 0)? { Err(disabled()) } else { Ok(()) }
}

pub(super) fn unknown() -> Error {
    Error::not_found("unknown-tenant", "there is no such tenant")
}

pub(super) fn disabled() -> Error {
    let message = "this tenant is disabled: none of its accounts is let in until it is enabled again";
    Error::new(ErrorKind::Forbidden, "tenant-disabled", message)
}
