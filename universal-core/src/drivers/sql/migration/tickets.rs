//! Tickets for event streams.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0012_tickets", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_tickets (
    tenant_id text COLLATE \"C\" NOT NULL,
    hash text COLLATE \"C\" NOT NULL,
    user_id text COLLATE \"C\" NOT NULL,
    sealed text NOT NULL,
    stream text COLLATE \"C\",
    made_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES universal_users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX universal_tickets_user ON universal_tickets (tenant_id, user_id, made_at);
CREATE INDEX universal_tickets_age ON universal_tickets (tenant_id, made_at);
";

const SQLITE: &str = "
CREATE TABLE universal_tickets (
    tenant_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    user_id TEXT NOT NULL,
    sealed TEXT NOT NULL,
    stream TEXT,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES universal_users (tenant_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX universal_tickets_user ON universal_tickets (tenant_id, user_id, made_at);
CREATE INDEX universal_tickets_age ON universal_tickets (tenant_id, made_at);
";
