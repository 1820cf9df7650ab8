//! A backend without HTTP: typed documents, one transaction over three things, a job, a subscription.

use std::{path::Path, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::timeout};
use universal_core::{
    Backend, Caller, Error, ErrorKind, Result, Settings, TenantId, Transaction,
    collections::ListQuery,
    jobs::{Enqueue, Functions, JobContext},
    realtime::{Event, Subscribe},
};

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who ordered.
    pub customer: String,
    /// What it costs, in cents.
    pub cents: i64,
}

/// What `send_invoice` takes.
#[derive(Debug, Serialize, Deserialize)]
struct Invoice {
    number: i64,
}

/// What the program saw happen.
#[derive(Debug)]
pub struct Report {
    /// The order that the subscription announced.
    pub announced: Order,
    /// The number of the invoice that the job sent.
    pub sent: i64,
    /// The orders there are: the one that was refused is not among them.
    pub orders: Vec<Order>,
}

/// Runs the program on the folder `data`.
///
/// # Errors
/// Whatever the backend answers.
pub async fn run(data: &Path) -> Result<Report> {
    let (sent, mut invoices) = mpsc::channel(16);
    let functions = Functions::builder()
        .register("send_invoice", move |job, input| send_invoice(job, input, sent.clone()))
        .build()?;
    let mut settings = Settings::default();
    data.clone_into(&mut settings.data);
    let backend = Backend::builder().with_settings(settings).with_functions(functions).build().await?;
    // The program itself: no rule binds it. For a user it would be the `Caller` of that user.
    let caller = Caller::system(TenantId::default_tenant());

    let mut changes = backend.realtime().subscribe(&caller, Subscribe::to("orders".parse()?)).await?;
    let number = next_number(&backend).await?;

    let order = Order { customer: "Ada".to_owned(), cents: 1250 };
    place(&backend, &caller, &order, number).await?;
    // The same invoice number again: the host's own table refuses it, and the order goes with it.
    let refused = place(&backend, &caller, &Order { customer: "Eve".to_owned(), cents: 1 }, number).await;
    if refused.is_ok() {
        return Err(Error::internal("an invoice number was used twice"));
    }

    let announced = within("the change", changes.next()).await??;
    let Event::Change(change) = announced else { return Err(Error::internal("the feed was cut")) };
    let announced = change.document::<Order>()?.ok_or_else(|| Error::internal("a change without its document"))?;
    let sent = within("the invoice", invoices.recv()).await?.ok_or_else(|| Error::internal("no worker"))?;
    let orders = backend.collection::<Order>("orders")?.list(&caller, &ListQuery::new()).await?;
    backend.shutdown().await;
    Ok(Report { announced, sent, orders: orders.into_iter().map(|order| order.value).collect() })
}

/// An order, a row of the program's own table and a job: all three, or none.
async fn place(backend: &Backend, caller: &Caller, order: &Order, number: i64) -> Result<()> {
    let orders = backend.collection::<Order>("orders")?;
    let (jobs, caller, order) = (backend.jobs().clone(), caller.clone(), order.clone());
    backend
        .transaction(|tx| {
            Box::pin(async move {
                orders.create_in(tx, &caller, &order).await?;
                let row = "INSERT INTO invoices (number, cents, sent) VALUES ($1, $2, $3)";
                execute(tx, row, vec![number.into(), order.cents.into(), false.into()]).await?;
                jobs.enqueue_in(tx, &caller, Enqueue::typed("send_invoice", &Invoice { number })?).await?;
                Ok(())
            })
        })
        .await
}

/// The job. What it writes and its completion are one commit, so that the row is marked exactly once.
async fn send_invoice(job: JobContext, invoice: Invoice, sent: mpsc::Sender<i64>) -> Result<()> {
    let number = invoice.number;
    job.complete_with(move |tx| {
        Box::pin(async move {
            execute(tx, "UPDATE invoices SET sent = $1 WHERE number = $2", vec![true.into(), number.into()]).await
        })
    })
    .await?;
    // Nobody listening any more is no failure of the job.
    sent.send(number).await.ok();
    Ok(())
}

/// The number of the next invoice; the table is made at the first start.
async fn next_number(backend: &Backend) -> Result<i64> {
    let table =
        "CREATE TABLE IF NOT EXISTS invoices (number BIGINT PRIMARY KEY, cents BIGINT NOT NULL, sent BOOLEAN NOT NULL)";
    backend
        .transaction(|tx| {
            Box::pin(async move {
                execute(tx, table, Vec::new()).await?;
                let connection = connection(tx)?;
                let last = "SELECT COALESCE(MAX(number), 0) AS last FROM invoices";
                let last = Statement::from_string(connection.get_database_backend(), last);
                let row = connection.query_one_raw(last).await.map_err(refused)?;
                let last: i64 = row.ok_or_else(|| Error::internal("no row"))?.try_get("", "last").map_err(refused)?;
                Ok(last + 1)
            })
        })
        .await
}

/// A statement of the program's own, in the backend's transaction.
async fn execute(tx: &mut Transaction<'_>, sql: &'static str, values: Vec<sea_orm::Value>) -> Result<()> {
    let connection = connection(tx)?;
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    connection.execute_raw(statement).await.map_err(refused)?;
    Ok(())
}

fn connection<'c>(tx: &Transaction<'c>) -> Result<&'c DatabaseTransaction> {
    tx.connection::<DatabaseTransaction>().ok_or_else(|| Error::internal("not an SQL transaction"))
}

fn refused(error: DbErr) -> Error {
    Error::new(ErrorKind::Conflict, "invoice-refused", "the table of invoices refuses this").with_source(error)
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    timeout(Duration::from_secs(20), work)
        .await
        .map_err(|_| Error::new(ErrorKind::Timeout, "example-timeout", format!("{what} did not come")))
}
