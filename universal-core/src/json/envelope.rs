//! A stored document as an answer shows it: spliced from text, never parsed.

use std::fmt::Write as _;

use crate::clock::Timestamp;

/// What stands under `_meta`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta<'a> {
    pub(crate) revision: &'a str,
    pub(crate) owner: Option<&'a str>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// Writes `{"id":…, members of `body`, "_meta":{…}}`. `body` is the text of an object without the
/// members `id` and `_meta`.
pub(crate) fn write(out: &mut String, id: &str, body: &str, meta: &Meta<'_>) {
    open(out, id, body);
    close(out, meta);
}

/// Writes [`write`]'s text up to the last member; further ones may follow, each with a comma before it.
pub(crate) fn open(out: &mut String, id: &str, body: &str) {
    out.reserve(body.len() + 220);
    out.push_str("{\"id\":");
    write_string(out, id);
    let members = body.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default().trim();
    if !members.is_empty() {
        out.push(',');
        out.push_str(members);
    }
}

/// Writes the end of [`write`]'s text.
pub(crate) fn close(out: &mut String, meta: &Meta<'_>) {
    out.push_str(",\"_meta\":{\"revision\":");
    write_string(out, meta.revision);
    out.push_str(",\"owner\":");
    match meta.owner {
        Some(owner) => write_string(out, owner),
        None => out.push_str("null"),
    }
    let _ = write!(out, ",\"created_at\":\"{}\",\"updated_at\":\"{}\"}}}}", meta.created_at, meta.updated_at);
}

/// Writes `text` as a JSON string.
pub(crate) fn write_string(out: &mut String, text: &str) {
    // Ids, revisions and codes hardly ever need an escape.
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    out.push_str(&serde_json::Value::from(text).to_string());
}
