//! The job queue.
//!
//! `due`, `next`, `leases` and `finished` serve the worker, which goes across tenants; they are partial, so that the jobs that
//! have ended cost them nothing (and those that have not, `finished`).

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0004_jobs", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "
CREATE TABLE universal_jobs (
    tenant_id text COLLATE \"C\" NOT NULL,
    id text COLLATE \"C\" NOT NULL,
    function text COLLATE \"C\" NOT NULL,
    input text NOT NULL,
    state text COLLATE \"C\" NOT NULL,
    priority bigint NOT NULL,
    run_at bigint NOT NULL,
    attempt bigint NOT NULL,
    max_attempts bigint NOT NULL,
    lease_until bigint,
    worker text COLLATE \"C\",
    owner_id text COLLATE \"C\",
    unique_key text COLLATE \"C\",
    result text,
    error text,
    cancel_requested boolean NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX universal_jobs_unique ON universal_jobs (tenant_id, function, coalesce(owner_id, ''), unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX universal_jobs_owner ON universal_jobs (tenant_id, owner_id, id) WHERE owner_id IS NOT NULL;
CREATE INDEX universal_jobs_due ON universal_jobs (priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX universal_jobs_next ON universal_jobs (run_at) WHERE state = 'queued';
CREATE INDEX universal_jobs_leases ON universal_jobs (lease_until) WHERE state = 'running';
CREATE INDEX universal_jobs_finished ON universal_jobs (finished_at) WHERE finished_at IS NOT NULL;
";

const SQLITE: &str = "
CREATE TABLE universal_jobs (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    function TEXT NOT NULL,
    input TEXT NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_until INTEGER,
    worker TEXT,
    owner_id TEXT,
    unique_key TEXT,
    result TEXT,
    error TEXT,
    cancel_requested BOOLEAN NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX universal_jobs_unique ON universal_jobs (tenant_id, function, coalesce(owner_id, ''), unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX universal_jobs_owner ON universal_jobs (tenant_id, owner_id, id) WHERE owner_id IS NOT NULL;
CREATE INDEX universal_jobs_due ON universal_jobs (priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX universal_jobs_next ON universal_jobs (run_at) WHERE state = 'queued';
CREATE INDEX universal_jobs_leases ON universal_jobs (lease_until) WHERE state = 'running';
CREATE INDEX universal_jobs_finished ON universal_jobs (finished_at) WHERE finished_at IS NOT NULL;
";
