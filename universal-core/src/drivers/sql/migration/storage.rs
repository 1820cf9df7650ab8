//! Objects, the bytes that no object needs, and the rights to upload that were used.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0003_storage", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_objects (
    tenant_id text COLLATE \"C\" NOT NULL,
    bucket text COLLATE \"C\" NOT NULL,
    key text COLLATE \"C\" NOT NULL,
    id text COLLATE \"C\" NOT NULL,
    version text COLLATE \"C\" NOT NULL,
    size bigint NOT NULL,
    content_type text NOT NULL,
    sha256 text NOT NULL,
    owner_id text COLLATE \"C\",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, bucket, key)
);
CREATE INDEX universal_objects_owner ON universal_objects (tenant_id, bucket, owner_id, key);
CREATE TABLE universal_blobs (
    tenant_id text COLLATE \"C\" NOT NULL,
    version text COLLATE \"C\" NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'garbage')),
    since bigint NOT NULL,
    PRIMARY KEY (tenant_id, version)
);
CREATE TABLE universal_upload_tokens (
    tenant_id text COLLATE \"C\" NOT NULL,
    id text COLLATE \"C\" NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
";

const SQLITE: &str = "
CREATE TABLE universal_objects (
    tenant_id TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    size INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    owner_id TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, bucket, key)
) WITHOUT ROWID;
CREATE INDEX universal_objects_owner ON universal_objects (tenant_id, bucket, owner_id, key);
CREATE TABLE universal_blobs (
    tenant_id TEXT NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'garbage')),
    since INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, version)
) WITHOUT ROWID;
CREATE TABLE universal_upload_tokens (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;
";
