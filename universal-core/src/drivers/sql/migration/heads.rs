//! SQLite: a feed's head is raised once a transaction, by who records the changes, not once a change by a trigger.

use crate::drivers::sql::migration::step::Step;

pub(super) const STEP: Step = Step { name: "m0006_heads", postgres: "SELECT 1;", sqlite: SQLITE };

const SQLITE: &str = "DROP TRIGGER universal_changes_head;";
