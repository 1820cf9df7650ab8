//! Tenants whose accounts are kept out.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0013_tenants", postgres: POSTGRES, sqlite: SQLITE };

const POSTGRES: &str = "ALTER TABLE universal_tenants ADD COLUMN disabled boolean NOT NULL DEFAULT FALSE;";

const SQLITE: &str = "ALTER TABLE universal_tenants ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT FALSE;";
