//! The rows of objects.

use async_trait::async_trait;
use sea_orm::Value;

use crate::{
    clock::Timestamp,
    drivers::sql::{
        connection::Database,
        statement::{Row, column},
        write::Write,
    },
    error::{Error, ErrorKind, Result},
    id::{TenantId, UserId},
    storage::{
        Blob, BucketName, Catalog, ContentType, Entry, Object, ObjectKey, Publication, Published, PutDecision, Removal,
        Scan, Version, decide_delete, decide_put,
    },
};

/// The columns of an object, in the order in which [`entry`] reads them.
const COLUMNS: &str = "bucket, key, id, version, size, content_type, sha256, owner_id, created_at, updated_at";

/// Rows of objects in a SQL database.
#[derive(Clone, Debug)]
pub(crate) struct SqlCatalog {
    database: Database,
}

impl SqlCatalog {
    /// A catalog in this database.
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Catalog for SqlCatalog {
    async fn find(&self, tenant: &TenantId, bucket: &BucketName, key: &ObjectKey) -> Result<Option<Entry>> {
        let (sql, values) = select_object(tenant, bucket, key, "");
        self.database.one(&sql, values).await?.as_ref().map(entry).transpose()
    }

    async fn scan(&self, scan: Scan<'_>) -> Result<Vec<Object>> {
        let mut values: Vec<Value> = vec![scan.tenant.as_str().into(), scan.bucket.as_str().into(), scan.from.into()];
        let from = if scan.inclusive { ">=" } else { ">" };
        let mut sql =
            format!("SELECT {COLUMNS} FROM universal_objects WHERE tenant_id = $1 AND bucket = $2 AND key {from} $3");
        if let Some(until) = scan.until {
            values.push(until.into());
            sql.push_str(&format!(" AND key < ${}", values.len()));
        }
        if let Some(owner) = scan.owner {
            values.push(owner.as_str().into());
            sql.push_str(&format!(" AND owner_id = ${}", values.len()));
        }
        values.push(i64::from(scan.limit).into());
        sql.push_str(&format!(" ORDER BY key LIMIT ${}", values.len()));
        let rows = self.database.all(&sql, values).await?;
        rows.iter().map(|row| entry(row).map(|entry| entry.object)).collect()
    }

    async fn begin(&self, tenant: &TenantId, version: &Version, now: Timestamp) -> Result<()> {
        let (tenant, version) = (tenant.clone(), version.clone());
        self.database
            .write(move |write| {
                let (tenant, version) = (tenant.clone(), version.clone());
                Box::pin(async move { insert_blob(write, &tenant, &version, "pending", now).await })
            })
            .await
    }

    async fn publish(&self, publication: Publication) -> Result<Published> {
        self.database
            .write(move |write| {
                let publication = publication.clone();
                Box::pin(async move { publish(write, publication).await })
            })
            .await
    }

    async fn remove(&self, removal: Removal) -> Result<()> {
        self.database
            .write(move |write| {
                let removal = removal.clone();
                Box::pin(async move { remove(write, removal).await })
            })
            .await
    }

    async fn stale(&self, before: Timestamp, after: Option<&Blob>, limit: u32) -> Result<Vec<Blob>> {
        let (tenant, version) = match after {
            Some(blob) => (blob.tenant.as_str().to_owned(), blob.version.as_str().to_owned()),
            None => (String::new(), String::new()),
        };
        self.database
            .write(move |write| {
                let (tenant, version) = (tenant.clone(), version.clone());
                Box::pin(async move { stale(write, before, tenant, version, limit).await })
            })
            .await
    }

    async fn forget(&self, blobs: Vec<Blob>) -> Result<()> {
        self.database
            .write(move |write| {
                let blobs = blobs.clone();
                Box::pin(async move {
                    for blob in blobs {
                        let sql =
                            "DELETE FROM universal_blobs WHERE tenant_id = $1 AND version = $2 AND state = 'garbage'";
                        write.execute(sql, vec![blob.tenant.as_str().into(), blob.version.as_str().into()]).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn forget_tokens(&self, before: Timestamp) -> Result<()> {
        self.database
            .write(move |write| {
                Box::pin(async move {
                    // Of every tenant, as in `stale`.
                    let sql = "DELETE FROM universal_upload_tokens WHERE expires_at < $1";
                    write.execute(sql, vec![before.as_micros().into()]).await?;
                    Ok(())
                })
            })
            .await
    }
}

/// How often a put looks again for a row that came or went between its look and its write.
const LOOKS: u32 = 8;

async fn publish(write: &mut Write<'_>, publication: Publication) -> Result<Published> {
    // First of all, so that a token that was used already leaves nothing to roll back.
    use_token(write, &publication).await?;
    for _ in 0..LOOKS {
        if let Some(published) = try_publish(write, &publication).await? {
            return Ok(published);
        }
    }
    Err(Error::new(ErrorKind::Busy, "object-busy", "others are putting and deleting this object; try again"))
}

/// Nothing if another transaction has made the row since the look.
async fn try_publish(write: &mut Write<'_>, publication: &Publication) -> Result<Option<Published>> {
    let Publication { caller, bucket, key, version, now, .. } = publication;
    let tenant = caller.tenant();
    let found = lock_object(write, tenant, bucket, key).await?;
    let existing = found.as_ref().map(|entry| &entry.object);
    let decision = decide_put(caller, existing, publication.if_match.as_ref(), publication.if_none_match.as_ref())?;
    require_pending(write, tenant, &version.name).await?;

    let mut object = Object::new(bucket.clone(), key.clone(), version.size);
    object.content_type = version.content_type.clone();
    object.sha256.clone_from(&version.sha256);
    object.revision = version.name.as_str().to_owned();
    object.updated_at = *now;
    object.created_at = existing.map_or(*now, |existing| existing.created_at);
    object.owner = match decision {
        PutDecision::Create(owner) => owner,
        PutDecision::Replace => existing.and_then(|existing| existing.owner.clone()),
    };
    if found.is_none() && !insert_object(write, tenant, &object, &version.name).await? {
        return Ok(None);
    }
    if let Some(found) = &found {
        replace_object(write, tenant, &object, &version.name).await?;
        insert_blob(write, tenant, &found.version, "garbage", *now).await?;
    }
    let sql = "DELETE FROM universal_blobs WHERE tenant_id = $1 AND version = $2";
    write.execute(sql, vec![tenant.as_str().into(), version.name.as_str().into()]).await?;
    Ok(Some(Published { object, created: found.is_none() }))
}

async fn remove(write: &mut Write<'_>, removal: Removal) -> Result<()> {
    let Removal { caller, bucket, key, if_match, now } = removal;
    let found = lock_object(write, caller.tenant(), &bucket, &key).await?;
    let found = decide_delete(&caller, found, if_match.as_ref())?;
    let sql = "DELETE FROM universal_objects WHERE tenant_id = $1 AND bucket = $2 AND key = $3";
    write.execute(sql, place(caller.tenant(), &bucket, &key)).await?;
    insert_blob(write, caller.tenant(), &found.version, "garbage", now).await
}

async fn stale(
    write: &mut Write<'_>,
    before: Timestamp,
    tenant: String,
    version: String,
    limit: u32,
) -> Result<Vec<Blob>> {
    // Housekeeping of every tenant at once: the table holds only what is on its way in or out.
    let sql = format!(
        "SELECT tenant_id, version, state FROM universal_blobs \
         WHERE (tenant_id, version) > ($1, $2) AND since < $3 ORDER BY tenant_id, version LIMIT $4{}",
        write.dialect().skip_locked()
    );
    let values = vec![tenant.into(), version.into(), before.as_micros().into(), i64::from(limit).into()];
    let mut blobs = Vec::new();
    for row in write.all(&sql, values).await? {
        let tenant = TenantId::trusted(column::<String>(&row, 0)?);
        let version = Version::stored(column(&row, 1)?);
        if column::<String>(&row, 2)? == "pending" {
            let sql = "UPDATE universal_blobs SET state = 'garbage' WHERE tenant_id = $1 AND version = $2";
            write.execute(sql, vec![tenant.as_str().into(), version.as_str().into()]).await?;
        }
        blobs.push(Blob { tenant, version });
    }
    Ok(blobs)
}

/// The version is still known as begun; the row stays locked until the end.
async fn require_pending(write: &mut Write<'_>, tenant: &TenantId, version: &Version) -> Result<()> {
    let sql = format!(
        "SELECT 1 FROM universal_blobs WHERE tenant_id = $1 AND version = $2 AND state = 'pending'{}",
        write.dialect().for_update()
    );
    match write.one(&sql, vec![tenant.as_str().into(), version.as_str().into()]).await? {
        Some(_) => Ok(()),
        None => Err(Error::new(
            ErrorKind::Timeout,
            "upload-expired",
            "the upload took so long that its bytes were cleared away; nothing was stored, try again",
        )),
    }
}

async fn use_token(write: &mut Write<'_>, publication: &Publication) -> Result<()> {
    let Some(token) = &publication.token else {
        return Ok(());
    };
    let sql =
        "INSERT INTO universal_upload_tokens (tenant_id, id, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let tenant = publication.caller.tenant();
    let values = vec![tenant.as_str().into(), token.id.as_str().into(), token.expires_at.as_micros().into()];
    if write.execute(sql, values).await? == 0 {
        return Err(Error::new(ErrorKind::Forbidden, "presigned-used", "this link has been used; ask for a new one"));
    }
    Ok(())
}

async fn lock_object(
    write: &mut Write<'_>,
    tenant: &TenantId,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<Option<Entry>> {
    let (sql, values) = select_object(tenant, bucket, key, write.dialect().for_update());
    write.one(&sql, values).await?.as_ref().map(entry).transpose()
}

/// Whether the row is new.
async fn insert_object(write: &mut Write<'_>, tenant: &TenantId, object: &Object, version: &Version) -> Result<bool> {
    let sql = format!(
        "INSERT INTO universal_objects (tenant_id, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING"
    );
    let mut values = place(tenant, &object.bucket, &object.key);
    values.extend([
        uuid::Uuid::now_v7().simple().to_string().into(),
        version.as_str().into(),
        size_column(object.size).into(),
        object.content_type.as_str().into(),
        object.sha256.as_str().into(),
        object.owner.as_ref().map(|owner| owner.as_str().to_owned()).into(),
        object.created_at.as_micros().into(),
        object.updated_at.as_micros().into(),
    ]);
    Ok(write.execute(&sql, values).await? > 0)
}

async fn replace_object(write: &mut Write<'_>, tenant: &TenantId, object: &Object, version: &Version) -> Result<()> {
    let sql = "UPDATE universal_objects SET version = $4, size = $5, content_type = $6, sha256 = $7, updated_at = $8 \
               WHERE tenant_id = $1 AND bucket = $2 AND key = $3";
    let mut values = place(tenant, &object.bucket, &object.key);
    values.extend([
        version.as_str().into(),
        size_column(object.size).into(),
        object.content_type.as_str().into(),
        object.sha256.as_str().into(),
        object.updated_at.as_micros().into(),
    ]);
    write.execute(sql, values).await.map(|_| ())
}

async fn insert_blob(
    write: &mut Write<'_>,
    tenant: &TenantId,
    version: &Version,
    state: &str,
    since: Timestamp,
) -> Result<()> {
    let sql = "INSERT INTO universal_blobs (tenant_id, version, state, since) VALUES ($1, $2, $3, $4)";
    let values = vec![tenant.as_str().into(), version.as_str().into(), state.into(), since.as_micros().into()];
    write.execute(sql, values).await.map(|_| ())
}

fn select_object(tenant: &TenantId, bucket: &BucketName, key: &ObjectKey, lock: &str) -> (String, Vec<Value>) {
    let sql =
        format!("SELECT {COLUMNS} FROM universal_objects WHERE tenant_id = $1 AND bucket = $2 AND key = $3{lock}");
    (sql, place(tenant, bucket, key))
}

fn place(tenant: &TenantId, bucket: &BucketName, key: &ObjectKey) -> Vec<Value> {
    vec![tenant.as_str().into(), bucket.as_str().into(), key.as_str().into()]
}

fn size_column(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn entry(row: &Row) -> Result<Entry> {
    // What was checked when it was written is checked again: a row that somebody changed by hand
    // must not become a name that the rest of the crate trusts.
    let stored = |error: Error| Error::internal(error);
    let version: String = column(row, 3)?;
    let bucket = BucketName::new(column::<String>(row, 0)?).map_err(stored)?;
    let key = ObjectKey::new(column::<String>(row, 1)?).map_err(stored)?;
    let size = u64::try_from(column::<i64>(row, 4)?).map_err(Error::internal)?;
    let mut object = Object::new(bucket, key, size);
    object.content_type = ContentType::new(column::<String>(row, 5)?).map_err(stored)?;
    object.sha256 = column(row, 6)?;
    object.revision.clone_from(&version);
    object.owner = column::<Option<String>>(row, 7)?.map(UserId::trusted);
    object.created_at = Timestamp::from_micros(column(row, 8)?);
    object.updated_at = Timestamp::from_micros(column(row, 9)?);
    Ok(Entry { object, id: column(row, 2)?, version: Version::stored(version) })
}
