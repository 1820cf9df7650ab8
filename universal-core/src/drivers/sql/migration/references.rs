//! Which documents refer to which, written with each document that refers; the states of collections; and whose
//! documents are still to be looked through.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0007_references", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_references (
    tenant_id text COLLATE \"C\" NOT NULL,
    target_collection text COLLATE \"C\" NOT NULL,
    target_id text COLLATE \"C\" NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    path text COLLATE \"C\" NOT NULL,
    doc_id text COLLATE \"C\" NOT NULL,
    PRIMARY KEY (tenant_id, target_collection, target_id, collection, path, doc_id)
);
CREATE INDEX universal_references_document ON universal_references (tenant_id, collection, doc_id);
ALTER TABLE universal_collections ADD COLUMN state text NOT NULL DEFAULT 'active';
ALTER TABLE universal_collections ADD COLUMN renamed_to text COLLATE \"C\";
CREATE INDEX universal_collections_unsettled ON universal_collections (tenant_id, name) WHERE state <> 'active';
CREATE TABLE universal_rebuilds (
    tenant_id text COLLATE \"C\" NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    phase text NOT NULL,
    after_id text COLLATE \"C\" NOT NULL,
    PRIMARY KEY (tenant_id, collection)
);
";

const SQLITE: &str = "
CREATE TABLE universal_references (
    tenant_id TEXT NOT NULL,
    target_collection TEXT NOT NULL,
    target_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    path TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, target_collection, target_id, collection, path, doc_id)
) WITHOUT ROWID;
CREATE INDEX universal_references_document ON universal_references (tenant_id, collection, doc_id);
ALTER TABLE universal_collections ADD COLUMN state TEXT NOT NULL DEFAULT 'active';
ALTER TABLE universal_collections ADD COLUMN renamed_to TEXT;
CREATE INDEX universal_collections_unsettled ON universal_collections (tenant_id, name) WHERE state <> 'active';
CREATE TABLE universal_rebuilds (
    tenant_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    phase TEXT NOT NULL,
    after_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, collection)
) WITHOUT ROWID;
";
