//! The words of documents, for full-text search.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0010_search", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_search (
    tenant_id text COLLATE \"C\" NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    doc_id text COLLATE \"C\" NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (tenant_id, collection, doc_id)
);
CREATE INDEX universal_search_by_word ON universal_search USING gin (words);
CREATE TABLE universal_search_builds (
    tenant_id text COLLATE \"C\" NOT NULL,
    collection text COLLATE \"C\" NOT NULL,
    is_cleared boolean NOT NULL,
    last_id text COLLATE \"C\" NOT NULL,
    changed_by xid8 NOT NULL,
    horizon xid8,
    PRIMARY KEY (tenant_id, collection)
);
";

// The texts are words in small letters without accents already: the tokenizer must only part them.
const SQLITE: &str = "
CREATE TABLE universal_search (
    id INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    doc_id TEXT NOT NULL,
    places INTEGER NOT NULL,
    UNIQUE (tenant_id, collection, doc_id)
);
CREATE VIRTUAL TABLE universal_search_words USING fts5(scope, words, tokenize = 'ascii', columnsize = 0);
CREATE TABLE universal_search_builds (
    tenant_id TEXT NOT NULL,
    collection TEXT NOT NULL,
    is_cleared BOOLEAN NOT NULL,
    last_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, collection)
) WITHOUT ROWID;
";
