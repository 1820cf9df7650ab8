//! Rules as texts, and what they mean, said again in Rust.

use serde_json::Value;

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) id: String,
    pub(super) is_editor: bool,
}

/// A rule for `list` and `get`, and whether `secret` is hidden under it.
pub(super) struct Law {
    text: &'static str,
    pub(super) hides: bool,
    means: fn(&Value, &Asker) -> bool,
}

/// By these the documents are seen. Each lets everybody see the mark that says how far a socket is.
pub(super) const LAWS: [Law; 7] = [
    Law { text: "doc.n > 2", hides: false, means: |doc, _| n(doc) > 2 },
    Law { text: "meta.owner == caller.id", hides: true, means: |doc, by| owner(doc) == by.id },
    Law {
        text: "doc.open == true || meta.owner == caller.id",
        hides: false,
        means: |doc, by| doc["open"] == true || owner(doc) == by.id,
    },
    Law { text: "\"editor\" in caller.roles", hides: true, means: |_, by| by.is_editor },
    Law {
        text: "doc.to == caller.id || \"editor\" in caller.roles && doc.n < 5",
        hides: false,
        means: |doc, by| doc["to"] == by.id.as_str() || by.is_editor && n(doc) < 5,
    },
    Law {
        text: "doc.secret % 2 == 0",
        hides: true,
        means: |doc, _| doc["secret"].as_i64().is_some_and(|n| n % 2 == 0),
    },
    Law { text: "false", hides: false, means: |_, _| false },
];

impl Law {
    /// The rule as the collection has it.
    pub(super) fn rule(&self) -> String {
        format!("({}) || has(doc.mark)", self.text)
    }

    /// Whether `by` may see this version of a document, given whole.
    pub(super) fn shows(&self, document: &Value, by: &Asker) -> bool {
        document.get("mark").is_some() || (self.means)(document, by)
    }
}

fn n(document: &Value) -> i64 {
    document["n"].as_i64().unwrap_or(i64::MIN)
}

fn owner(document: &Value) -> &str {
    document["_meta"]["owner"].as_str().unwrap_or_default()
}
