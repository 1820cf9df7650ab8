//! Aggregates: the groups of a selection as one statement.

use std::sync::Arc;

use sea_orm::Value;
use serde_json::{Map, Value as Json};

use crate::{
    clock::Timestamp,
    collections::{
        aggregate::{AggregateQuery, Aggregates, Group, Metric},
        distinct::{Distinct, DistinctQuery},
        name_list::label,
        ranking::{FoundGroup, Ranking},
    },
    drivers::sql::{
        collections::{
            measure::{self, Measured, Wanted},
            selection::Selection,
        },
        connection::Database,
        dialect::Dialect,
        lower::json_value,
        statement::{Row, column},
    },
    error::{Error, Result},
    expr::Field,
    json::{restore, value_to_text},
};

/// The groups of the rows of `selection`.
pub(super) async fn aggregate(database: &Database, selection: Selection, query: &AggregateQuery) -> Result<Aggregates> {
    ranked(database, selection, query).await.map(Ranking::into_aggregates)
}

/// The values of a field in the rows of `selection`: groups by it, of which nothing is computed.
pub(super) async fn distinct(database: &Database, selection: Selection, query: &DistinctQuery) -> Result<Distinct> {
    let mut groups = AggregateQuery::new().with_limit(query.limit);
    groups.group = vec![query.field.clone()];
    let (found, more) = ranked(database, selection.with(&query.field), &groups).await?.finish();
    Ok(Distinct::new(found.into_iter().filter_map(|found| found.key.into_iter().next()?).collect(), more))
}

async fn ranked(database: &Database, selection: Selection, query: &AggregateQuery) -> Result<Ranking> {
    let query = Arc::new(query.clone());
    let (statement, sql, values) = Statement::build(selection, Arc::clone(&query));
    let state = (statement, Ranking::new(query));
    let take = |(statement, ranking): &mut (Statement, Ranking), row: &Row| {
        ranking.offer(statement.group(row)?);
        Ok(())
    };
    Ok(database.fold(&sql, values, state, take).await?.1)
}

/// How the rows of the statement are read.
struct Statement {
    dialect: Dialect,
    query: Arc<AggregateQuery>,
    /// The fields that metrics ask for, each once, with what is wanted of it.
    measured: Vec<(Field, Wanted)>,
}

impl Statement {
    fn build(mut selection: Selection, query: Arc<AggregateQuery>) -> (Self, String, Vec<Value>) {
        let dialect = selection.dialect();
        let measured = measured(&query.select);
        let rows = selection.rows();
        // The inner query names each field once; `g0` and `m0` are then columns that hold JSON.
        let (mut inner, mut outer) = (vec!["id".to_owned()], Vec::new());
        let names: Vec<String> = (0..query.group.len()).map(|at| format!("g{at}")).collect();
        let mut name = |field: &Field, name: &str| {
            let value = json_value(field, dialect, selection.next());
            selection.bind_all(value.values);
            inner.push(format!("{} AS {name}", value.sql));
        };
        for (field, column) in query.group.iter().zip(&names) {
            name(field, column);
            outer.push(dialect.json_out(column));
        }
        outer.extend(["count(*)".to_owned(), format!("min(id{})", dialect.bytewise())]);
        for (at, (field, wanted)) in measured.iter().enumerate() {
            let column = format!("m{at}");
            name(field, &column);
            outer.extend(measure::columns(dialect, &column, *wanted));
        }
        let by = if names.is_empty() { String::new() } else { format!(" GROUP BY {}", names.join(", ")) };
        let (outer, inner) = (outer.join(", "), inner.join(", "));
        let sql = format!("SELECT {outer} FROM (SELECT {inner}{rows}) AS selected{by}");
        (Self { dialect, query, measured }, sql, selection.values())
    }

    /// The group in a row.
    fn group(&self, row: &Row) -> Result<FoundGroup> {
        let (mut key, mut shown, mut bytes) = (Vec::new(), Map::new(), 0);
        for (at, field) in self.query.group.iter().enumerate() {
            let text: Option<String> = column(row, at)?;
            let value = text.map(|text| self.value(field, text)).transpose()?;
            if let Some(value) = &value {
                // Not the length of the column's text: PostgreSQL prints white space, and 1e300 with 301 digits.
                bytes += value_to_text(value).len();
                shown.insert(label(field), value.clone());
            }
            key.push(value);
        }
        let mut at = key.len();
        let count: i64 = column(row, at)?;
        let first: Option<String> = column(row, at + 1)?;
        at += 2;
        let found: Result<Vec<Measured>> =
            self.measured.iter().map(|(_, wanted)| measure::read(self.dialect, row, &mut at, *wanted)).collect();
        let found = found?;
        let mut metrics = Vec::new();
        for metric in self.query.select.iter().filter(|metric| **metric != Metric::Count) {
            let place = self.measured.iter().position(|(field, _)| Some(field) == metric.field());
            let measured = place.and_then(|place| found.get(place)).cloned().unwrap_or_default();
            let value = shown_metric(metric, measured);
            bytes += value.as_str().map_or(16, str::len);
            metrics.push((metric.clone(), value));
        }
        let group = Group::new(shown, u64::try_from(count).map_err(Error::internal)?, metrics);
        Ok(FoundGroup { key, first: first.unwrap_or_default(), group, bytes: bytes + 64 })
    }

    fn value(&self, field: &Field, text: String) -> Result<Json> {
        let text = if self.dialect == Dialect::Postgres { restore(text) } else { text };
        let value: Json = serde_json::from_str(&text).map_err(Error::internal)?;
        Ok(moment(field, value))
    }
}

fn measured(select: &[Metric]) -> Vec<(Field, Wanted)> {
    let mut measured: Vec<(Field, Wanted)> = Vec::new();
    for metric in select {
        let Some(field) = metric.field() else { continue };
        let at = measured.iter().position(|(known, _)| known == field).unwrap_or_else(|| {
            measured.push((field.clone(), Wanted::default()));
            measured.len() - 1
        });
        let Some((_, wanted)) = measured.get_mut(at) else { continue };
        match metric {
            Metric::Sum(_) | Metric::Avg(_) => wanted.sum = true,
            _ => wanted.bounds = true,
        }
    }
    measured
}

fn shown_metric(metric: &Metric, measured: Measured) -> Json {
    match metric {
        Metric::Count => Json::Null,
        Metric::Sum(_) => measured.sum.map_or(Json::Null, Json::Number),
        Metric::Avg(_) => average(&measured).map_or(Json::Null, Json::Number),
        Metric::Min(field) => measured.min.map_or(Json::Null, |value| moment(field, value)),
        Metric::Max(field) => measured.max.map_or(Json::Null, |value| moment(field, value)),
    }
}

fn average(measured: &Measured) -> Option<serde_json::Number> {
    #[expect(clippy::cast_precision_loss, reason = "the average is a double, and the sum is one already or is rounded")]
    #[expect(clippy::as_conversions, reason = "there is no `From` for what rounds")]
    let count = measured.numbers as f64;
    (measured.numbers > 0).then_some(())?;
    crate::json::from_f64(measured.sum.as_ref()?.as_f64()? / count)
}

/// Moments are integers in the statement and texts in answers.
fn moment(field: &Field, value: Json) -> Json {
    match (field, value.as_i64()) {
        (Field::CreatedAt | Field::UpdatedAt, Some(micros)) => Timestamp::from_micros(micros).to_string().into(),
        _ => value,
    }
}
