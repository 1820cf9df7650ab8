//! The answers of calls with an idempotency key.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0006_idempotency", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_idempotency (
    tenant_id text COLLATE \"C\" NOT NULL REFERENCES universal_tenants (id),
    principal text COLLATE \"C\" NOT NULL,
    key text COLLATE \"C\" NOT NULL,
    fingerprint text NOT NULL,
    answer text NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, principal, key)
);
CREATE INDEX universal_idempotency_age ON universal_idempotency (tenant_id, created_at);
";

const SQLITE: &str = "
CREATE TABLE universal_idempotency (
    tenant_id TEXT NOT NULL REFERENCES universal_tenants (id),
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, principal, key)
) WITHOUT ROWID;
CREATE INDEX universal_idempotency_age ON universal_idempotency (tenant_id, created_at);
";
