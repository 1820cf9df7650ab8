//! The feeds' heads inside a group of writes: read once, counted on, stored once before the commit.

use crate::{
    drivers::sql::{
        sqlite::connection::NativeConnection,
        statement::{Row, column},
    },
    error::{Error, Result},
    id::TenantId,
};

const READ: &str = "SELECT head FROM universal_feeds WHERE tenant_id = $1";
const STORE: &str = "UPDATE universal_feeds SET head = $2 WHERE tenant_id = $1 AND head = $3";

/// What the members of one transaction have numbered. It goes with the transaction: another process may
/// write between two.
#[derive(Debug, Default)]
pub(in crate::drivers::sql) struct Heads(Vec<Head>);

#[derive(Debug)]
struct Head {
    tenant: TenantId,
    before: i64,
    now: i64,
}

impl Heads {
    /// The number of a tenant's next change; nothing if there is no such tenant.
    pub(in crate::drivers::sql) fn next(
        &mut self,
        connection: &mut NativeConnection,
        tenant: &TenantId,
    ) -> Result<Option<i64>> {
        if let Some(head) = self.0.iter().find(|head| head.tenant == *tenant) {
            return Ok(Some(head.now + 1));
        }
        let row: Option<Row> = connection.one(READ, &[tenant.as_str().into()])?;
        let Some(row) = row else { return Ok(None) };
        let before: i64 = column(&row, 0)?;
        self.0.push(Head { tenant: tenant.clone(), before, now: before });
        Ok(Some(before + 1))
    }

    /// The tenant's next number is used.
    pub(in crate::drivers::sql) fn took(&mut self, tenant: &TenantId) {
        if let Some(head) = self.0.iter_mut().find(|head| head.tenant == *tenant) {
            head.now += 1;
        }
    }

    /// Stores the heads, in the transaction that numbered.
    pub(super) fn store(&self, connection: &mut NativeConnection) -> Result<()> {
        for head in self.0.iter().filter(|head| head.now != head.before) {
            let values = [head.tenant.as_str().into(), head.now.into(), head.before.into()];
            if connection.execute(STORE, &values)? != 1 {
                return Err(Error::internal(
                    "the head of a feed was moved inside the transaction that numbers its changes",
                ));
            }
        }
        Ok(())
    }
}
