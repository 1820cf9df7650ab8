//! Indexes as rows.
//!
//! An entry's key is followed by `tie`: the document's id, or nothing where no other document may have the key, whose
//! document is then in `doc_id`. So the primary key keeps the order of a list and is the constraint of a unique index.
//! `cut_version` is raised when the first text is cut in some index of the tenant: its order serves no list from then on.
//!
//! PostgreSQL's planner takes the newest of indexes that cost the same by its estimate, and before the first ANALYZE the
//! one of owners costs the same as the primary key for a look-up by id, of which it serves two columns only. So the
//! primary key is made anew: it must be the newest.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0008_indexes", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
ALTER TABLE universal_tenants ADD COLUMN cut_version bigint NOT NULL DEFAULT 0;
CREATE TABLE universal_indexes (
    tenant_id text COLLATE \"C\" NOT NULL REFERENCES universal_tenants (id),
    id bigint NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    name text COLLATE \"C\" NOT NULL,
    fields text NOT NULL,
    is_unique boolean NOT NULL,
    state text COLLATE \"C\" NOT NULL,
    is_cut boolean NOT NULL,
    last_id text COLLATE \"C\" NOT NULL,
    documents bigint NOT NULL,
    reason text,
    not_before bigint NOT NULL,
    changed_by xid8,
    horizon xid8,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 50);
CREATE INDEX universal_indexes_collection ON universal_indexes (tenant_id, collection);
CREATE INDEX universal_indexes_work ON universal_indexes (id) WHERE state IN ('building', 'dropping');
CREATE TABLE universal_index_entries (
    tenant_id text COLLATE \"C\" NOT NULL,
    index_id bigint NOT NULL,
    key bytea NOT NULL,
    tie text COLLATE \"C\" NOT NULL,
    doc_id text COLLATE \"C\",
    PRIMARY KEY (tenant_id, index_id, key, tie)
);
ALTER TABLE universal_documents DROP CONSTRAINT universal_documents_pkey, ADD PRIMARY KEY (tenant_id, collection, id);
";

const SQLITE: &str = "
ALTER TABLE universal_tenants ADD COLUMN cut_version INTEGER NOT NULL DEFAULT 0;
CREATE TABLE universal_indexes (
    tenant_id TEXT NOT NULL REFERENCES universal_tenants (id),
    id INTEGER NOT NULL,
    collection TEXT NOT NULL,
    name TEXT NOT NULL,
    fields TEXT NOT NULL,
    is_unique BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    is_cut BOOLEAN NOT NULL,
    last_id TEXT NOT NULL,
    documents INTEGER NOT NULL,
    reason TEXT,
    not_before INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;
CREATE INDEX universal_indexes_collection ON universal_indexes (tenant_id, collection);
CREATE INDEX universal_indexes_work ON universal_indexes (id) WHERE state IN ('building', 'dropping');
CREATE TABLE universal_index_entries (
    tenant_id TEXT NOT NULL,
    index_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    tie TEXT NOT NULL,
    doc_id TEXT,
    PRIMARY KEY (tenant_id, index_id, key, tie)
) WITHOUT ROWID;
";
