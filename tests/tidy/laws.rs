//! The two small laws: import from the module that defines the name; a `mod.rs` is a face.

use std::collections::BTreeSet;

use super::{
    paths::paths,
    source::{Source, sources},
};

#[test]
fn names_are_imported_from_where_they_are_defined() {
    let mut wrong = Vec::new();
    for source in sources() {
        for named in paths(&source).iter().filter(|named| named.root == "crate" && named.written == "crate") {
            let first = named.segments.first().map_or("", String::as_str);
            if first.starts_with(char::is_uppercase) || first == "*" {
                wrong.push(format!(
                    "{}:{}: `crate::{first}` goes through the front door: import it from the module that defines it",
                    source.path, named.line
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn children_do_not_import_from_their_face() {
    let sources = sources();
    let modules: BTreeSet<(String, Vec<String>)> =
        sources.iter().map(|source| (place(source), source.module())).collect();
    let faces: BTreeSet<(String, Vec<String>)> =
        sources.iter().filter(|source| source.is_face()).map(|source| (place(source), source.module())).collect();
    let mut wrong = Vec::new();
    for source in &sources {
        let (place, own) = (place(source), source.module());
        for named in paths(source).iter().filter(|named| named.root == "crate") {
            // The longest face above this file that the path goes through; what comes next must be a room behind it.
            let above =
                (1..=named.segments.len().saturating_sub(1)).rev().filter_map(|length| named.segments.get(..length));
            let Some(face) =
                above.into_iter().find(|face| faces.contains(&(place.clone(), face.to_vec())) && own.starts_with(face))
            else {
                continue;
            };
            if source.is_face() && own == face {
                continue;
            }
            let through = named.segments.get(..=face.len()).map(<[String]>::to_vec).unwrap_or_default();
            if !modules.contains(&(place.clone(), through)) {
                let name = named.segments.get(face.len()).map_or("", String::as_str);
                wrong.push(format!(
                    "{}:{}: takes `{name}` from the face {}/mod.rs above it: import it from the sibling that defines it, and move what a mod.rs defines into a file",
                    source.path,
                    named.line,
                    face.join("/")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The crate a file belongs to: a package's library, or its programs and tests beside it.
fn place(source: &Source) -> String {
    let library = source.path.split('/').nth(1) == Some("src");
    format!("{} {}", source.package(), if library { "src" } else { "rest" })
}
