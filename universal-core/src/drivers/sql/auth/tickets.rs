//! The statements about tickets for event streams.

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use crate::{
    auth::ticket::{FIRST_USE, KEPT, PER_USER, Ticket, refused},
    clock::Timestamp,
    drivers::sql::{connection::Database, statement::column},
    error::Result,
    id::{UserId, hex},
};

/// Those whose time is over, of anybody in the tenant.
const FORGET: &str = "DELETE FROM universal_tickets WHERE tenant_id = $1
    AND (made_at <= $2 OR (made_at <= $3 AND stream IS NULL))";
/// The oldest of a user, beyond the limit. SQLite knows OFFSET only after LIMIT.
const SURPLUS: &str = "DELETE FROM universal_tickets WHERE tenant_id = $1 AND hash IN (
    SELECT hash FROM universal_tickets WHERE tenant_id = $1 AND user_id = $2
    ORDER BY made_at DESC, hash DESC LIMIT 1000000 OFFSET $3)";
const KEEP: &str = "INSERT INTO universal_tickets (tenant_id, hash, user_id, sealed, made_at)
    VALUES ($1, $2, $3, $4, $5)";
const FIND: &str = "SELECT sealed, stream, made_at FROM universal_tickets WHERE tenant_id = $1 AND hash = $2";
/// The first use binds it to its stream, in one statement, so that two first uses cannot be for two streams.
const REDEEM: &str = "UPDATE universal_tickets SET stream = $3 WHERE tenant_id = $1 AND hash = $2
    AND ((stream IS NULL AND made_at > $5) OR (stream = $3 AND made_at > $4)) RETURNING sealed";

/// Keeps a ticket that stands for `token`.
pub(super) async fn keep(
    db: &Database,
    ticket: &Ticket,
    (user, token): (&UserId, &SecretString),
    now: Timestamp,
) -> Result<()> {
    let tenant = ticket.tenant().as_str().to_owned();
    let (hash, sealed, user) = (ticket.hash(), ticket.seal(token)?, user.as_str().to_owned());
    let (old, unused) = (now.minus(KEPT).as_micros(), now.minus(FIRST_USE).as_micros());
    db.write(move |w| {
        let (tenant, hash, sealed, user) = (tenant.clone(), hash.clone(), sealed.clone(), user.clone());
        Box::pin(async move {
            w.execute(FORGET, vec![tenant.as_str().into(), old.into(), unused.into()]).await?;
            let others = i64::from(PER_USER) - 1;
            w.execute(SURPLUS, vec![tenant.as_str().into(), user.as_str().into(), others.into()]).await?;
            let values = vec![tenant.into(), hash.into(), user.into(), sealed.into(), now.as_micros().into()];
            w.execute(KEEP, values).await.map(|_| ())
        })
    })
    .await
}

/// The token that a ticket stands for, in `stream`. Only a first use is a write: whoever guesses, or comes back, takes
/// no place among the writes.
///
/// # Errors
/// `Unauthenticated` if it is unknown, was not used in time or belongs to another stream.
pub(super) async fn redeem(db: &Database, ticket: &Ticket, stream: &str, now: Timestamp) -> Result<SecretString> {
    let (tenant, hash, stream) = (ticket.tenant().as_str().to_owned(), ticket.hash(), hex(&Sha256::digest(stream)));
    let (old, unused) = (now.minus(KEPT).as_micros(), now.minus(FIRST_USE).as_micros());
    let known = db.one(FIND, vec![tenant.as_str().into(), hash.as_str().into()]).await?.ok_or_else(refused)?;
    let (bound, made_at): (Option<String>, i64) = (column(&known, 1)?, column(&known, 2)?);
    let sealed: String = match bound {
        Some(bound) if bound == stream && made_at > old => column(&known, 0)?,
        Some(_) => return Err(refused()),
        None => {
            let first = db.write(move |w| {
                let values = vec![
                    tenant.as_str().into(),
                    hash.as_str().into(),
                    stream.as_str().into(),
                    old.into(),
                    unused.into(),
                ];
                Box::pin(async move { w.one(REDEEM, values).await })
            });
            column(&first.await?.ok_or_else(refused)?, 0)?
        }
    };
    ticket.unseal(&sealed)
}
