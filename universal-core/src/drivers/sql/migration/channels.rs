//! Rules of channels.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0011_channels", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
ALTER TABLE universal_tenants ADD COLUMN channels_version bigint NOT NULL DEFAULT 0;
CREATE TABLE universal_channels (
    tenant_id text COLLATE \"C\" NOT NULL REFERENCES universal_tenants (id),
    pattern text COLLATE \"C\" NOT NULL,
    settings text NOT NULL,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, pattern)
);
";

const SQLITE: &str = "
ALTER TABLE universal_tenants ADD COLUMN channels_version INTEGER NOT NULL DEFAULT 0;
CREATE TABLE universal_channels (
    tenant_id TEXT NOT NULL REFERENCES universal_tenants (id),
    pattern TEXT NOT NULL,
    settings TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, pattern)
) WITHOUT ROWID;
";
