//! The list of steps.

use sea_orm::{DynIden, sea_query::IntoIden as _};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::drivers::sql::migration::{
    auth, channels, consumers, expiries, heads, idempotency, indexes, jobs, references, search, settings, spine,
    storage, tenants, tickets,
};

/// All steps, oldest first.
///
/// ```no_run
/// use sea_orm_migration::MigratorTrait as _;
/// use universal_core::drivers::sql::migration::Migrator;
/// # async fn run(connection: sea_orm::DatabaseConnection) -> Result<(), sea_orm::DbErr> {
/// let pending = Migrator::get_pending_migrations(&connection).await?;
/// println!("{} steps to go", pending.len());
/// Migrator::up(&connection, None).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(spine::STEP),
            Box::new(auth::STEP),
            Box::new(storage::STEP),
            Box::new(jobs::STEP),
            Box::new(settings::STEP),
            Box::new(heads::STEP),
            Box::new(idempotency::STEP),
            Box::new(references::STEP),
            Box::new(expiries::STEP),
            Box::new(search::STEP),
            Box::new(consumers::STEP),
            Box::new(indexes::STEP),
            Box::new(channels::STEP),
            Box::new(tickets::STEP),
            Box::new(tenants::STEP),
        ]
    }

    fn migration_table_name() -> DynIden {
        "universal_migrations".into_iden()
    }
}
