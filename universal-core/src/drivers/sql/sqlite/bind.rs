//! Values bound to a statement's placeholders.

use rusqlite::{
    CachedStatement,
    types::{ToSqlOutput, Value as Owned, ValueRef},
};
use sea_orm::Value;

/// Binds `$1` to the first value and so on, wherever and however often it stands in the statement.
pub(super) fn bind(statement: &mut CachedStatement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for index in 1..=statement.parameter_count() {
        // SQLite counts `$7` by its first place in the text: the number in its name is what is meant.
        let number = statement.parameter_name(index).and_then(|name| name.get(1..)?.parse::<usize>().ok());
        let value = values.get(number.unwrap_or(index).wrapping_sub(1));
        let value = value.ok_or(rusqlite::Error::InvalidParameterCount(index, values.len()))?;
        statement.raw_bind_parameter(index, parameter(value)?)?;
    }
    Ok(())
}

fn parameter(value: &Value) -> rusqlite::Result<ToSqlOutput<'_>> {
    let integer = |number: i64| ToSqlOutput::Borrowed(ValueRef::Integer(number));
    let null = || ToSqlOutput::Borrowed(ValueRef::Null);
    let bound = match value {
        Value::String(text) => text.as_ref().map(|text| ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
        Value::Bytes(bytes) => bytes.as_ref().map(|bytes| ToSqlOutput::Borrowed(ValueRef::Blob(bytes))),
        Value::BigInt(number) => number.map(integer),
        Value::Int(number) => number.map(|number| integer(number.into())),
        Value::SmallInt(number) => number.map(|number| integer(number.into())),
        Value::TinyInt(number) => number.map(|number| integer(number.into())),
        Value::Unsigned(number) => number.map(|number| integer(number.into())),
        Value::SmallUnsigned(number) => number.map(|number| integer(number.into())),
        Value::TinyUnsigned(number) => number.map(|number| integer(number.into())),
        Value::BigUnsigned(Some(number)) => {
            let number = i64::try_from(*number);
            Some(integer(number.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?))
        }
        Value::BigUnsigned(None) => None,
        Value::Bool(truth) => truth.map(|truth| integer(truth.into())),
        Value::Double(number) => number.map(|number| ToSqlOutput::Borrowed(ValueRef::Real(number))),
        Value::Float(number) => number.map(|number| ToSqlOutput::Borrowed(ValueRef::Real(number.into()))),
        Value::Char(letter) => letter.map(|letter| ToSqlOutput::Owned(Owned::Text(letter.into()))),
        Value::Json(json) => json.as_ref().map(|json| ToSqlOutput::Owned(Owned::Text(json.to_string()))),
        _ => return Err(rusqlite::Error::ToSqlConversionFailure("a value of a kind that SQLite does not have".into())),
    };
    Ok(bound.unwrap_or_else(null))
}
