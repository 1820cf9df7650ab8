//! The statements about accounts.

use sea_orm::Value;

use crate::{
    auth::{
        email::Email,
        user::{Profile, User},
    },
    clock::Timestamp,
    drivers::sql::{
        connection::Database,
        statement::{Row, column},
        tenant as tenants,
        write::Write,
    },
    error::{Error, Result},
    id::{TenantId, UserId},
};

/// An account with what only the service sees.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) user: User,
    pub(super) password_hash: String,
    pub(super) disabled: bool,
    pub(super) token_version: i64,
    /// Whether its tenant keeps all accounts out.
    pub(super) tenant_disabled: bool,
}

/// How an insertion went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    Yes,
    EmailTaken,
}

const BY_ID: &str = "SELECT id, email, roles, profile, created_at, updated_at, password_hash, disabled, token_version,
    (SELECT disabled FROM universal_tenants WHERE id = $1) FROM universal_users WHERE tenant_id = $1 AND id = $2";
const BY_EMAIL: &str =
    "SELECT id, email, roles, profile, created_at, updated_at, password_hash, disabled, token_version,
    (SELECT disabled FROM universal_tenants WHERE id = $1) FROM universal_users WHERE tenant_id = $1 AND email = $2";

pub(super) async fn by_email(db: &Database, tenant: &TenantId, email: &Email) -> Result<Option<Account>> {
    db.one(BY_EMAIL, vec![tenant.as_str().into(), email.as_str().into()]).await?.as_ref().map(account).transpose()
}

pub(super) async fn by_id(db: &Database, tenant: &TenantId, id: &UserId) -> Result<Option<Account>> {
    db.one(BY_ID, key(tenant, id)).await?.as_ref().map(account).transpose()
}

/// The account as this transaction sees it, not locked.
pub(super) async fn read(w: &mut Write<'_>, tenant: &TenantId, id: &UserId) -> Result<Option<Account>> {
    w.one(BY_ID, key(tenant, id)).await?.as_ref().map(account).transpose()
}

/// The account, locked until the transaction ends. Locks are taken in the order account, session.
pub(super) async fn lock(w: &mut Write<'_>, tenant: &TenantId, id: &UserId) -> Result<Option<Account>> {
    let sql = format!("{BY_ID}{}", w.dialect().for_update());
    w.one(&sql, key(tenant, id)).await?.as_ref().map(account).transpose()
}

/// Inserts an account unless its address is taken.
pub(super) async fn insert(w: &mut Write<'_>, tenant: &TenantId, account: &Account) -> Result<Inserted> {
    let sql = "INSERT INTO universal_users
        (tenant_id, id, email, roles, profile, created_at, updated_at, password_hash, disabled, token_version)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM universal_tenants WHERE id = $1
        ON CONFLICT (tenant_id, email) DO NOTHING RETURNING id";
    let user = &account.user;
    let values = vec![
        tenant.as_str().into(),
        user.id.as_str().into(),
        user.email.as_str().into(),
        roles_text(&user.roles)?.into(),
        user.profile.to_text()?.into(),
        user.created_at.as_micros().into(),
        user.updated_at.as_micros().into(),
        account.password_hash.as_str().into(),
        account.disabled.into(),
        account.token_version.into(),
    ];
    if w.one(sql, values).await?.is_some() {
        return Ok(Inserted::Yes);
    }
    let tenant_exists = w.one("SELECT id FROM universal_tenants WHERE id = $1", vec![tenant.as_str().into()]).await?;
    match tenant_exists {
        Some(_) => Ok(Inserted::EmailTaken),
        None => Err(tenants::unknown()),
    }
}

/// Replaces the hash of a password, if nobody else has meanwhile.
pub(super) async fn replace_hash(
    w: &mut Write<'_>,
    tenant: &TenantId,
    id: &UserId,
    old: &str,
    new: &str,
) -> Result<()> {
    let sql = "UPDATE universal_users SET password_hash = $4 WHERE tenant_id = $1 AND id = $2 AND password_hash = $3";
    let values = vec![tenant.as_str().into(), id.as_str().into(), old.into(), new.into()];
    w.execute(sql, values).await.map(|_| ())
}

/// Replaces the roles; tokens with the old ones become outdated.
pub(super) async fn replace_roles(
    w: &mut Write<'_>,
    tenant: &TenantId,
    id: &UserId,
    roles: &[String],
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE universal_users SET roles = $3, token_version = token_version + 1, updated_at = $4
        WHERE tenant_id = $1 AND id = $2";
    let values = vec![tenant.as_str().into(), id.as_str().into(), roles_text(roles)?.into(), now.as_micros().into()];
    w.execute(sql, values).await.map(|_| ())
}

fn key(tenant: &TenantId, id: &UserId) -> Vec<Value> {
    vec![tenant.as_str().into(), id.as_str().into()]
}

fn roles_text(roles: &[String]) -> Result<String> {
    serde_json::to_string(roles).map_err(Error::internal)
}

fn account(row: &Row) -> Result<Account> {
    let email: String = column(row, 1)?;
    let id: String = column(row, 0)?;
    let roles: String = column(row, 2)?;
    let user = User::new(UserId::trusted(id), Email::trusted(email), Timestamp::from_micros(column(row, 4)?))
        .with_roles(serde_json::from_str(&roles).map_err(Error::internal)?)
        .with_profile(Profile::from_stored(&column::<String>(row, 3)?)?)
        .with_updated_at(Timestamp::from_micros(column(row, 5)?));
    Ok(Account {
        user,
        password_hash: column(row, 6)?,
        disabled: column(row, 7)?,
        token_version: column(row, 8)?,
        tenant_disabled: column(row, 9)?,
    })
}
