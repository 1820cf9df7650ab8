//! Tenants, documents and the change feed.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0001_spine", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_tenants (
    id text COLLATE \"C\" PRIMARY KEY,
    created_at bigint NOT NULL
);
CREATE TABLE universal_feeds (
    tenant_id text COLLATE \"C\" PRIMARY KEY REFERENCES universal_tenants (id),
    epoch text NOT NULL,
    head bigint NOT NULL,
    floor bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE universal_documents (
    tenant_id text COLLATE \"C\" NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    id text COLLATE \"C\" NOT NULL,
    body jsonb NOT NULL,
    revision text NOT NULL,
    owner_id text COLLATE \"C\",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, collection, id)
);
CREATE INDEX universal_documents_owner ON universal_documents (tenant_id, collection, owner_id, id);
CREATE TABLE universal_changes (
    tenant_id text COLLATE \"C\" NOT NULL,
    seq bigint NOT NULL,
    tx bigint NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    doc_id text COLLATE \"C\" NOT NULL,
    op text NOT NULL,
    revision text NOT NULL,
    owner_before text,
    owner_after text,
    before text,
    after text,
    actor text,
    request_id text,
    created_at bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
CREATE INDEX universal_changes_deleted ON universal_changes (tenant_id, collection, doc_id, seq) WHERE op = 'delete';
CREATE SEQUENCE universal_outbox_id CACHE 1;
CREATE TABLE universal_outbox (
    tenant_id text COLLATE \"C\" NOT NULL,
    id bigint NOT NULL DEFAULT nextval('universal_outbox_id'),
    tx bigint NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    doc_id text COLLATE \"C\" NOT NULL,
    op text NOT NULL,
    revision text NOT NULL,
    owner_before text,
    owner_after text,
    before text,
    after text,
    actor text,
    request_id text,
    created_at bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
ALTER SEQUENCE universal_outbox_id OWNED BY universal_outbox.id;
INSERT INTO universal_tenants (id, created_at)
VALUES ('default', (extract(epoch from clock_timestamp()) * 1000000)::bigint);
INSERT INTO universal_feeds (tenant_id, epoch, head, floor)
VALUES ('default', substr(replace(gen_random_uuid()::text, '-', ''), 1, 12), 0, 0);
";

const SQLITE: &str = "
CREATE TABLE universal_tenants (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE universal_feeds (
    tenant_id TEXT PRIMARY KEY REFERENCES universal_tenants (id),
    epoch TEXT NOT NULL,
    head INTEGER NOT NULL,
    floor INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE universal_documents (
    tenant_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    revision TEXT NOT NULL,
    owner_id TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, collection, id)
) WITHOUT ROWID;
CREATE INDEX universal_documents_owner ON universal_documents (tenant_id, collection, owner_id, id);
CREATE TABLE universal_changes (
    tenant_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    tx INTEGER NOT NULL,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    op TEXT NOT NULL,
    revision TEXT NOT NULL,
    owner_before TEXT,
    owner_after TEXT,
    before TEXT,
    after TEXT,
    actor TEXT,
    request_id TEXT,
    created_at INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, seq)
) WITHOUT ROWID;
CREATE INDEX universal_changes_deleted ON universal_changes (tenant_id, collection, doc_id, seq) WHERE op = 'delete';
CREATE TRIGGER universal_changes_head AFTER INSERT ON universal_changes BEGIN
    UPDATE universal_feeds SET head = NEW.seq WHERE tenant_id = NEW.tenant_id;
END;
INSERT INTO universal_tenants (id, created_at) VALUES ('default', CAST(unixepoch('subsec') * 1000000 AS INTEGER));
INSERT INTO universal_feeds (tenant_id, epoch, head, floor) VALUES ('default', lower(hex(randomblob(6))), 0, 0);
";
