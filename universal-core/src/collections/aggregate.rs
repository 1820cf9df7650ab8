//! Aggregates: documents counted, added up and compared, by groups.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    collections::{
        name_list::{field, label, split},
        query::{Direction, parse_filter},
    },
    error::{Error, Result},
    expr::{Expression, Field},
    json::members_to_text,
};

/// How many fields documents are grouped by at most.
pub const MAX_GROUP_FIELDS: usize = 4;
/// How many metrics are asked for at once at most.
pub const MAX_METRICS: usize = 16;
/// How many groups, or distinct values, an answer holds at most.
pub const MAX_GROUPS: u32 = 1000;

/// What is computed of the documents of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// How many documents there are.
    Count,
    /// The exact sum of the numbers in a field; other values are passed over. An integer where it is one within 64
    /// bits, else the nearest double; null where that would be infinite.
    Sum(Field),
    /// The sum, divided by how many numbers there are; null if there are none.
    Avg(Field),
    /// The smallest truth value, number or text in the total order; null if there is none.
    Min(Field),
    /// The largest truth value, number or text in the total order; null if there is none.
    Max(Field),
}

impl Metric {
    /// Reads `count`, `sum:price`, `avg:price`, `min:price` or `max:price`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read((0, text), "invalid-select", "select")
    }

    fn read((begin, part): (usize, &str), code: &'static str, parameter: &'static str) -> Result<Self> {
        let refused = |message: &str| Err(Error::invalid(code, message).with_field(parameter).with_position(begin));
        if part.trim() == "count" {
            return Ok(Self::Count);
        }
        let Some((name, path)) = part.split_once(':') else {
            return refused("a metric is `count`, or sum:, avg:, min: or max: with a field");
        };
        let make: fn(Field) -> Self = match name.trim() {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            _ => return refused("a metric is `count`, or sum:, avg:, min: or max: with a field"),
        };
        let metric = make(field((begin + name.len() + 1, path), code, parameter)?);
        if matches!(&metric, Self::Sum(field) | Self::Avg(field) if !matches!(field, Field::Document(_))) {
            return refused("sum and avg take members of the document, which can be numbers");
        }
        Ok(metric)
    }

    /// The field, unless it is the count.
    #[must_use]
    pub fn field(&self) -> Option<&Field> {
        match self {
            Self::Count => None,
            Self::Sum(field) | Self::Avg(field) | Self::Min(field) | Self::Max(field) => Some(field),
        }
    }

    /// `count`, `sum`, `avg`, `min` or `max`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum(_) => "sum",
            Self::Avg(_) => "avg",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.field().map_or(Ok(()), |field| write!(f, ":{}", label(field)))
    }
}

/// What groups are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupKey {
    /// A field of the groups' key.
    Field(Field),
    /// A metric that is asked for, or the count.
    Metric(Metric),
}

/// How many groups or values an answer holds, from 1 to [`MAX_GROUPS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimit(u32);

impl GroupLimit {
    /// Checks a number.
    ///
    /// # Errors
    /// `Invalid` if it is 0 or above [`MAX_GROUPS`].
    pub fn new(limit: u32) -> Result<Self> {
        if (1..=MAX_GROUPS).contains(&limit) {
            return Ok(Self(limit));
        }
        Err(Error::invalid("invalid-limit", format!("a limit of groups is a whole number from 1 to {MAX_GROUPS}"))
            .with_field("limit"))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for GroupLimit {
    fn default() -> Self {
        Self(MAX_GROUPS)
    }
}

/// Which documents are grouped, by what, and what is computed of each group.
///
/// ```
/// use universal_core::collections::AggregateQuery;
/// let query = AggregateQuery::new()
///     .with_filter("paid == true")?
///     .with_group("customer")?
///     .with_select("count,sum:total")?
///     .with_sort("-sum:total")?;
/// assert_eq!(query.select.len(), 2);
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AggregateQuery {
    /// Only documents that match.
    pub filter: Option<Expression>,
    /// Documents with equal values in these fields make a group; without fields all are one group.
    pub group: Vec<Field>,
    /// What is computed. The count always is.
    pub select: Vec<Metric>,
    /// The order of the groups; ties are ordered by the groups' keys, then by the smallest id in them.
    pub sort: Vec<(GroupKey, Direction)>,
    /// How many groups are answered.
    pub limit: GroupLimit,
}

impl AggregateQuery {
    /// One group of all documents.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only documents that match the filter's text.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_filter(mut self, filter: &str) -> Result<Self> {
        self.filter = Some(parse_filter(filter)?);
        Ok(self)
    }

    /// Only documents that match.
    #[must_use]
    pub fn with_expression(mut self, filter: Expression) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Grouped by these fields, separated by commas; at most [`MAX_GROUP_FIELDS`].
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_group(mut self, fields: &str) -> Result<Self> {
        let mut group = Vec::new();
        for part in split(fields) {
            let field = field(part, "invalid-group", "group")?;
            if group.contains(&field) || group.len() == MAX_GROUP_FIELDS {
                let message = format!("documents are grouped by at most {MAX_GROUP_FIELDS} fields, each once");
                return Err(Error::invalid("invalid-group", message).with_field("group").with_position(part.0));
            }
            group.push(field);
        }
        self.group = group;
        Ok(self)
    }

    /// With these metrics, separated by commas, as [`Metric::parse`] reads each; at most [`MAX_METRICS`].
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_select(mut self, metrics: &str) -> Result<Self> {
        let mut select = Vec::new();
        for part in split(metrics) {
            let metric = Metric::read(part, "invalid-select", "select")?;
            if select.contains(&metric) || select.len() == MAX_METRICS {
                let message = format!("at most {MAX_METRICS} metrics are asked for, each once");
                return Err(Error::invalid("invalid-select", message).with_field("select").with_position(part.0));
            }
            select.push(metric);
        }
        self.select = select;
        Ok(self)
    }

    /// In this order: fields of the group and metrics, separated by commas, `-` before one that goes down. Call it
    /// after [`with_group`](Self::with_group) and [`with_select`](Self::with_select).
    ///
    /// # Errors
    /// `Invalid` with the position, also for what is neither grouped by nor selected.
    pub fn with_sort(mut self, sort: &str) -> Result<Self> {
        let mut keys: Vec<(GroupKey, Direction)> = Vec::new();
        for (begin, part) in split(sort) {
            let (name, direction) = match part.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (part, Direction::Ascending),
            };
            let at = begin + part.len() - name.len();
            let key = if name.contains(':') || name.trim() == "count" {
                GroupKey::Metric(Metric::read((at, name), "invalid-sort", "sort")?)
            } else {
                GroupKey::Field(field((at, name), "invalid-sort", "sort")?)
            };
            let known = match &key {
                GroupKey::Field(field) => self.group.contains(field),
                GroupKey::Metric(metric) => *metric == Metric::Count || self.select.contains(metric),
            };
            if !known || keys.iter().any(|(other, _)| *other == key) {
                let message = "groups are sorted by fields of `group` and metrics of `select`, each once";
                return Err(Error::invalid("invalid-sort", message).with_field("sort").with_position(at));
            }
            keys.push((key, direction));
        }
        self.sort = keys;
        Ok(self)
    }

    /// With at most so many groups.
    #[must_use]
    pub fn with_limit(mut self, limit: GroupLimit) -> Self {
        self.limit = limit;
        self
    }
}

/// The groups that an [`AggregateQuery`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Aggregates {
    /// The groups in the order of the query.
    pub groups: Vec<Group>,
    /// Whether there are more groups than the limit, or than fit into 8 MiB of keys.
    pub more: bool,
}

impl Aggregates {
    /// An answer, for drivers.
    #[must_use]
    pub fn new(groups: Vec<Group>, more: bool) -> Self {
        Self { groups, more }
    }

    /// Writes `{"groups": […], "more": false}`.
    pub fn write_json(&self, out: &mut String) {
        out.push_str("{\"groups\":[");
        for (at, group) in self.groups.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            group.write_json(out);
        }
        out.push_str(if self.more { "],\"more\":true}" } else { "],\"more\":false}" });
    }
}

/// Documents with equal values in the fields of `group`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The value of each field, under its name without `doc.`; a field that the documents lack is not there.
    pub key: Map<String, Value>,
    /// How many documents there are.
    pub count: u64,
    /// The metrics in the order of the query, without the count.
    pub metrics: Vec<(Metric, Value)>,
}

impl Group {
    /// A group, for drivers.
    #[must_use]
    pub fn new(key: Map<String, Value>, count: u64, metrics: Vec<(Metric, Value)>) -> Self {
        Self { key, count, metrics }
    }

    /// The value of a metric that was asked for.
    #[must_use]
    pub fn metric(&self, metric: &Metric) -> Option<Value> {
        match metric {
            Metric::Count => Some(self.count.into()),
            _ => self.metrics.iter().find(|(known, _)| known == metric).map(|(_, value)| value.clone()),
        }
    }

    /// Writes `{"key": {…}, "count": 2, "sum": {"price": 3}}`, metrics in the order of the query.
    pub fn write_json(&self, out: &mut String) {
        out.push_str("{\"key\":");
        out.push_str(&members_to_text(&self.key));
        out.push_str(&format!(",\"count\":{}", self.count));
        let mut names: Vec<&str> = Vec::new();
        for (metric, _) in &self.metrics {
            if !names.contains(&metric.name()) {
                names.push(metric.name());
            }
        }
        for name in names {
            let of_name = self.metrics.iter().filter(|(metric, _)| metric.name() == name);
            let of_name = of_name.filter_map(|(metric, value)| Some((label(metric.field()?), value.clone())));
            out.push_str(&format!(",\"{name}\":{}", members_to_text(&of_name.collect())));
        }
        out.push('}');
    }
}
