//! When documents expire. The index serves the upkeep, which goes across tenants.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0008_expiries", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_expiries (
    tenant_id text COLLATE \"C\" NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    doc_id text COLLATE \"C\" NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, collection, doc_id)
);
CREATE INDEX universal_expiries_due ON universal_expiries (expires_at);
";

const SQLITE: &str = "
CREATE TABLE universal_expiries (
    tenant_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, collection, doc_id)
) WITHOUT ROWID;
CREATE INDEX universal_expiries_due ON universal_expiries (expires_at);
";
