//! Lists of fields as a query parameter writes them: separated by commas, which may also stand in a quoted name.

use crate::{
    error::{Error, Result},
    expr::Field,
};

/// The parts of `text` between commas that stand in no quotes, each with the byte where it begins.
pub(crate) fn split(text: &str) -> Vec<(usize, &str)> {
    let (mut parts, mut begin, mut quote) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ',') => {
                parts.push((begin, text.get(begin..at).unwrap_or_default()));
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push((begin, text.get(begin..).unwrap_or_default()));
    parts
}

/// The field that a part names.
///
/// # Errors
/// `Invalid` `code` of the parameter, with the position.
pub(crate) fn field((begin, part): (usize, &str), code: &'static str, parameter: &'static str) -> Result<Field> {
    one(part).map_err(|error| {
        let code = if error.code() == "invalid-field" { "invalid-field" } else { code };
        Error::invalid(code, format!("`{parameter}` takes fields' names: {}", error.message()))
            .with_field(parameter)
            .with_position(begin + error.position().unwrap_or(0))
    })
}

/// The field of a text that can be nothing but a field: unlike in expressions, a bare name that is a reserved word
/// (`type`, `filter`) is a member.
///
/// # Errors
/// As [`Field::parse`].
pub(crate) fn one(text: &str) -> Result<Field> {
    Field::parse(text).or_else(|error| {
        let root = text.trim().split(['.', '[']).next().unwrap_or_default();
        let is_name = !root.is_empty() && root.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || matches!(root, "doc" | "meta" | "_meta" | "caller") {
            return Err(error);
        }
        Field::parse(&format!("doc.{}", text.trim())).map_err(|_| error)
    })
}

/// A field as answers name it: as a filter writes it, without `doc.`.
pub(crate) fn label(field: &Field) -> String {
    let text = field.to_text();
    text.strip_prefix("doc.").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_do_not_part() {
        assert_eq!(split("a,doc[\"b,c\"],-d"), [(0, "a"), (2, "doc[\"b,c\"]"), (13, "-d")]);
        assert_eq!(split(""), [(0, "")]);
    }

    #[test]
    fn reserved_words_are_members_where_only_a_field_can_stand() {
        for (text, expected) in
            [("type", "doc.type"), (" filter.type", "doc.filter.type"), ("all", "doc.all"), ("id", "doc.id")]
        {
            assert_eq!(one(text).unwrap().to_text(), expected);
        }
        for bad in ["", "1", "caller.id", "meta.x", "doc", "a b", "type;", "-type", "has(a)", "true.", "_meta"] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_short() {
        for (text, expected) in [
            ("a.b", "a.b"),
            ("doc.a", "a"),
            ("id", "id"),
            ("doc[\"a-b\"]", "doc[\"a-b\"]"),
            ("meta.owner", "meta.owner"),
        ] {
            assert_eq!(label(&Field::parse(text).unwrap()), expected);
        }
    }
}
