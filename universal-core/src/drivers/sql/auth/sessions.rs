//! The statements about sessions. A session that has ended has no row.

use sea_orm::Value;

use crate::{
    auth::{options::AuthOptions, refresh_token::RefreshToken, rotation::Rotation},
    clock::Timestamp,
    drivers::sql::{
        connection::Database,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, Result},
    id::{TenantId, UserId},
};

/// A session and its refresh tokens.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) user: UserId,
    pub(super) rotation: Rotation,
}

/// Opens a session for a user whose row this transaction has locked or inserted: ends those whose time is
/// over and, beyond the limit, those refreshed longest ago.
pub(super) async fn open(
    w: &mut Write<'_>,
    tenant: &TenantId,
    session: &Session,
    token: &RefreshToken,
    options: &AuthOptions,
) -> Result<()> {
    let now = session.rotation.used_at;
    let over = "DELETE FROM universal_sessions
        WHERE tenant_id = $1 AND user_id = $2 AND (expires_at <= $3 OR used_at <= $4)";
    let idle = now.minus(options.session_idle);
    w.execute(over, values(tenant, &session.user, [now.as_micros().into(), idle.as_micros().into()])).await?;
    // SQLite knows OFFSET only after LIMIT.
    let surplus = "DELETE FROM universal_sessions WHERE tenant_id = $1 AND user_id = $2 AND id IN (
        SELECT id FROM universal_sessions WHERE tenant_id = $1 AND user_id = $2
        ORDER BY used_at DESC, id DESC LIMIT 1000000 OFFSET $3)";
    let keep = i64::from(options.sessions_per_user.max(1)) - 1;
    w.execute(surplus, values(tenant, &session.user, [keep.into()])).await?;
    let insert = "INSERT INTO universal_sessions
        (tenant_id, user_id, id, family_hash, token_hash, recent, created_at, used_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let rest: [Value; 7] = [
        session.id.as_str().into(),
        token.family_hash().into(),
        session.rotation.current.as_str().into(),
        recent_text(&session.rotation)?.into(),
        now.as_micros().into(),
        now.as_micros().into(),
        session.rotation.expires_at.as_micros().into(),
    ];
    w.execute(insert, values(tenant, &session.user, rest)).await.map(|_| ())
}

/// The session of a refresh token, locked until the transaction ends.
pub(super) async fn lock(w: &mut Write<'_>, tenant: &TenantId, token: &RefreshToken) -> Result<Option<Session>> {
    let sql = format!(
        "SELECT id, user_id, token_hash, recent, used_at, expires_at FROM universal_sessions
        WHERE tenant_id = $1 AND family_hash = $2{}",
        w.dialect().for_update()
    );
    let row = w.one(&sql, vec![tenant.as_str().into(), token.family_hash().into()]).await?;
    row.as_ref().map(session).transpose()
}

/// Stores the refresh tokens after an exchange.
pub(super) async fn store_rotation(w: &mut Write<'_>, tenant: &TenantId, id: &str, next: &Rotation) -> Result<()> {
    let sql =
        "UPDATE universal_sessions SET token_hash = $3, recent = $4, used_at = $5 WHERE tenant_id = $1 AND id = $2";
    let values = vec![
        tenant.as_str().into(),
        id.into(),
        next.current.as_str().into(),
        recent_text(next)?.into(),
        next.used_at.as_micros().into(),
    ];
    w.execute(sql, values).await.map(|_| ())
}

/// Ends a session.
pub(super) async fn end(w: &mut Write<'_>, tenant: &TenantId, id: &str) -> Result<()> {
    let sql = "DELETE FROM universal_sessions WHERE tenant_id = $1 AND id = $2";
    w.execute(sql, vec![tenant.as_str().into(), id.into()]).await.map(|_| ())
}

/// What a session gives its access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// The rights of its user, in this version.
    Version(i64),
    /// Nothing until its tenant is enabled.
    TenantDisabled,
    /// Nothing any more: it has ended, or its account is disabled or gone.
    Ended,
}

/// The rights of a session's user.
pub(super) async fn rights(db: &Database, tenant: &TenantId, user: &UserId, id: &str) -> Result<Rights> {
    let sql = "SELECT u.token_version, t.disabled FROM universal_sessions s
        JOIN universal_users u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
        JOIN universal_tenants t ON t.id = s.tenant_id
        WHERE s.tenant_id = $1 AND s.user_id = $2 AND s.id = $3 AND u.disabled = $4";
    Ok(match db.one(sql, values(tenant, user, [id.into(), false.into()])).await? {
        None => Rights::Ended,
        Some(row) if column(&row, 1)? => Rights::TenantDisabled,
        Some(row) => Rights::Version(column(&row, 0)?),
    })
}

fn values<const N: usize>(tenant: &TenantId, user: &UserId, rest: [Value; N]) -> Vec<Value> {
    let mut values = vec![tenant.as_str().into(), user.as_str().into()];
    values.extend(rest);
    values
}

fn recent_text(rotation: &Rotation) -> Result<String> {
    serde_json::to_string(&rotation.recent).map_err(Error::internal)
}

fn session(row: &Row) -> Result<Session> {
    let recent: String = column(row, 3)?;
    Ok(Session {
        id: column(row, 0)?,
        user: UserId::trusted(column::<String>(row, 1)?),
        rotation: Rotation {
            current: column(row, 2)?,
            recent: serde_json::from_str(&recent).map_err(Error::internal)?,
            used_at: Timestamp::from_micros(column(row, 4)?),
            expires_at: Timestamp::from_micros(column(row, 5)?),
        },
    })
}
