//! Accounts and sessions.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0002_auth", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_users (
    tenant_id text COLLATE \"C\" NOT NULL REFERENCES universal_tenants (id),
    id text COLLATE \"C\" NOT NULL,
    email text COLLATE \"C\" NOT NULL,
    password_hash text NOT NULL,
    roles text NOT NULL,
    profile text NOT NULL,
    disabled boolean NOT NULL,
    token_version bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT universal_users_email UNIQUE (tenant_id, email)
);
CREATE TABLE universal_sessions (
    tenant_id text COLLATE \"C\" NOT NULL,
    id text COLLATE \"C\" NOT NULL,
    user_id text COLLATE \"C\" NOT NULL,
    family_hash text COLLATE \"C\" NOT NULL,
    token_hash text COLLATE \"C\" NOT NULL,
    recent text NOT NULL,
    created_at bigint NOT NULL,
    used_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT universal_sessions_family UNIQUE (tenant_id, family_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES universal_users (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX universal_sessions_user ON universal_sessions (tenant_id, user_id);
";

const SQLITE: &str = "
CREATE TABLE universal_users (
    tenant_id TEXT NOT NULL REFERENCES universal_tenants (id),
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    roles TEXT NOT NULL,
    profile TEXT NOT NULL,
    disabled BOOLEAN NOT NULL,
    token_version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, email)
) WITHOUT ROWID;
CREATE TABLE universal_sessions (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    family_hash TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    recent TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, family_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES universal_users (tenant_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX universal_sessions_user ON universal_sessions (tenant_id, user_id);
";
