//! The places of consumers in the feeds.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0009_consumers", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_consumers (
    tenant_id text COLLATE \"C\" NOT NULL REFERENCES universal_tenants (id),
    name text COLLATE \"C\" NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    holder text,
    held_until bigint,
    PRIMARY KEY (tenant_id, name)
) WITH (fillfactor = 50);
CREATE INDEX universal_consumers_name ON universal_consumers (name, tenant_id);
";

const SQLITE: &str = "
CREATE TABLE universal_consumers (
    tenant_id TEXT NOT NULL REFERENCES universal_tenants (id),
    name TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    holder TEXT,
    held_until INTEGER,
    PRIMARY KEY (tenant_id, name)
) WITHOUT ROWID;
CREATE INDEX universal_consumers_name ON universal_consumers (name, tenant_id);
";
