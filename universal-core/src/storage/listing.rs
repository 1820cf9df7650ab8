//! Listing the objects of a bucket: pages in key order, with folders if a delimiter is given.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use crate::{
    caller::Caller,
    error::{Error, Result},
    page::Limit,
    storage::{bucket::BucketName, object::Object, signed_url::Signer},
};

const MAX_PREFIX: usize = 1024;
const MAX_DELIMITER: usize = 16;

/// What to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListObjects {
    /// Only keys that begin with this, at most 1024 bytes.
    pub prefix: Option<String>,
    /// Keys that hold this text (1 to 16 bytes, usually `/`) after the prefix are not listed one by
    /// one: what they share up to and with it appears once in [`ObjectPage::prefixes`].
    pub delimiter: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many objects and prefixes together.
    pub limit: Limit,
}

impl ListObjects {
    /// Only keys that begin with this.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Keys that hold this text after the prefix appear as what they share up to it.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.delimiter = Some(delimiter.into());
        self
    }

    /// The page after the one that gave this cursor; everything else must be as it was then, but for
    /// the limit.
    #[must_use]
    pub fn with_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// How many objects and prefixes together.
    #[must_use]
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }
}

/// A page of a bucket.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ObjectPage {
    /// The objects, in the order of the bytes of their keys.
    pub items: Vec<Object>,
    /// What keys share up to the delimiter, each once in the whole list, in the same order.
    pub prefixes: Vec<String>,
    /// Where the next page begins; nothing if this is the last one.
    pub next_cursor: Option<String>,
}

/// A page in the making: what to read next, and what came of the rows so far.
#[derive(Debug)]
pub struct Listing {
    prefix: String,
    delimiter: Option<String>,
    limit: usize,
    place: Place,
    until: Option<String>,
    page: ObjectPage,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first key with the prefix.
    Start,
    /// After this key.
    After(String),
    /// After every key that begins with this.
    Past(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More rows are needed.
    Open,
    /// The page is full and there is more.
    Full,
    /// There are no more rows.
    Ended,
}

impl Listing {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// `Invalid`: `invalid-prefix`, `invalid-delimiter`, `invalid-cursor`.
    pub fn new(signer: &Signer, caller: &Caller, bucket: &BucketName, asked: &ListObjects) -> Result<Self> {
        let prefix = asked.prefix.clone().unwrap_or_default();
        if prefix.len() > MAX_PREFIX || prefix.chars().any(char::is_control) {
            return Err(Error::invalid("invalid-prefix", "a prefix has at most 1024 bytes and no control characters")
                .with_field("prefix"));
        }
        let delimiter = asked.delimiter.clone().filter(|delimiter| !delimiter.is_empty());
        if delimiter.as_ref().is_some_and(|d| d.len() > MAX_DELIMITER || d.chars().any(char::is_control)) {
            return Err(Error::invalid("invalid-delimiter", "a delimiter has 1 to 16 bytes and no control characters")
                .with_field("delimiter"));
        }
        let mut listing = Self {
            until: successor(&prefix),
            prefix,
            delimiter,
            limit: usize::try_from(asked.limit.get()).unwrap_or(usize::MAX),
            place: Place::Start,
            page: ObjectPage::default(),
            state: State::Open,
        };
        if let Some(cursor) = &asked.cursor {
            listing.place = listing.open_cursor(signer, caller, bucket, cursor)?;
        }
        Ok(listing)
    }

    /// Where the next rows begin (with or without that key itself), where they end, and how many to
    /// read at most; nothing if the page is ready.
    #[must_use]
    pub fn next(&self) -> Option<(String, bool, Option<&str>, u32)> {
        if self.state != State::Open {
            return None;
        }
        let (from, inclusive) = match &self.place {
            Place::Start => (self.prefix.clone(), true),
            Place::After(key) => (key.clone(), false),
            Place::Past(prefix) => (successor(prefix)?, true),
        };
        let wanted = self.limit.saturating_sub(self.len()).saturating_add(1);
        // Rows that share a prefix are read only to be folded into it: with a delimiter, fewer at a
        // time, since the next read jumps over the rest of them.
        let wanted = if self.delimiter.is_some() { wanted.min(64) } else { wanted };
        Some((from, inclusive, self.until.as_deref(), u32::try_from(wanted).unwrap_or(u32::MAX)))
    }

    /// Takes the rows that were read for [`Listing::next`], which asked for `wanted` of them.
    pub fn take(&mut self, rows: Vec<Object>, wanted: u32) {
        let is_short = rows.len() < usize::try_from(wanted).unwrap_or(usize::MAX);
        for object in rows {
            let key = object.key.as_str();
            if matches!(&self.place, Place::Past(prefix) if key.starts_with(prefix.as_str())) {
                continue;
            }
            if self.len() >= self.limit {
                self.state = State::Full;
                return;
            }
            match self.shared(key) {
                Some(shared) => {
                    self.page.prefixes.push(shared.clone());
                    self.place = Place::Past(shared);
                }
                None => {
                    self.place = Place::After(key.to_owned());
                    self.page.items.push(object);
                }
            }
        }
        let is_past_all = matches!(&self.place, Place::Past(prefix) if successor(prefix).is_none());
        if is_short || is_past_all {
            self.state = State::Ended;
        }
    }

    /// The page, with its cursor.
    ///
    /// # Errors
    /// `Internal` if the cursor cannot be signed.
    pub fn finish(mut self, signer: &Signer, caller: &Caller, bucket: &BucketName) -> Result<ObjectPage> {
        if self.state == State::Full {
            let payload = match &self.place {
                Place::Start => String::new(),
                Place::After(key) => format!("k{key}"),
                Place::Past(prefix) => format!("p{prefix}"),
            };
            let mac = signer.sign_cursor(&self.cursor_parts(caller, bucket, &payload))?;
            self.page.next_cursor =
                Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(mac)));
        }
        Ok(self.page)
    }

    fn len(&self) -> usize {
        self.page.items.len() + self.page.prefixes.len()
    }

    fn shared(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = key.strip_prefix(self.prefix.as_str())?;
        let (folder, _) = rest.split_once(delimiter)?;
        Some(format!("{}{folder}{delimiter}", self.prefix))
    }

    fn open_cursor(&self, signer: &Signer, caller: &Caller, bucket: &BucketName, cursor: &str) -> Result<Place> {
        let bad = || {
            Error::invalid(
                "invalid-cursor",
                "a cursor is the next_cursor of a page, unchanged, with the same bucket, prefix and delimiter",
            )
            .with_field("cursor")
        };
        let (payload, mac) = cursor.split_once('.').ok_or_else(bad)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| bad())?;
        let payload = String::from_utf8(payload).map_err(|_| bad())?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| bad())?;
        if !signer.verify_cursor(&self.cursor_parts(caller, bucket, &payload), &mac)? {
            return Err(bad());
        }
        if let Some(key) = payload.strip_prefix('k') {
            Ok(Place::After(key.to_owned()))
        } else if let Some(prefix) = payload.strip_prefix('p') {
            Ok(Place::Past(prefix.to_owned()))
        } else {
            Err(bad())
        }
    }

    fn cursor_parts<'a>(&'a self, caller: &'a Caller, bucket: &'a BucketName, payload: &'a str) -> [&'a str; 5] {
        let delimiter = self.delimiter.as_deref().unwrap_or_default();
        [caller.tenant().as_str(), bucket.as_str(), &self.prefix, delimiter, payload]
    }
}

/// The first text, by bytes of UTF-8, after every text that begins with `prefix`. Nothing if every
/// text from `prefix` on begins with it. UTF-8 sorts as code points do.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            last => u32::from(last).checked_add(1).and_then(char::from_u32),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::TenantId, secret::MasterKey, storage::key::ObjectKey};

    fn run(keys: &[&str], asked: &ListObjects) -> (Vec<String>, Vec<String>, usize) {
        let signer = Signer::new(&MasterKey::generate().unwrap());
        let caller = Caller::system(TenantId::default_tenant());
        let bucket = BucketName::new("files").unwrap();
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        let (mut items, mut prefixes, mut pages) = (vec![], vec![], 0);
        let mut asked = asked.clone();
        loop {
            let mut listing = Listing::new(&signer, &caller, &bucket, &asked).unwrap();
            while let Some((from, inclusive, until, wanted)) = listing.next() {
                let rows = keys
                    .iter()
                    .filter(|key| if inclusive { **key >= from.as_str() } else { **key > from.as_str() })
                    .filter(|key| until.is_none_or(|until| **key < until))
                    .take(wanted as usize)
                    .map(|key| Object::new(bucket.clone(), ObjectKey::new(key).unwrap(), 1))
                    .collect();
                listing.take(rows, wanted);
            }
            let page = listing.finish(&signer, &caller, &bucket).unwrap();
            items.extend(page.items.iter().map(|object| object.key.to_string()));
            prefixes.extend(page.prefixes);
            pages += 1;
            match page.next_cursor {
                Some(cursor) => asked.cursor = Some(cursor),
                None => return (items, prefixes, pages),
            }
        }
    }

    #[test]
    fn pages_and_folders() {
        let keys = ["a", "a/1", "a/2", "a/b/3", "a0", "b/1", "ü/x", "😀/y", "z"];
        for limit in 1..=10 {
            let all = run(&keys, &ListObjects::default().with_limit(Limit::new(limit).unwrap()));
            assert_eq!(all.0, ["a", "a/1", "a/2", "a/b/3", "a0", "b/1", "z", "ü/x", "😀/y"], "{limit}");
            let top = run(&keys, &ListObjects::default().with_limit(Limit::new(limit).unwrap()).with_delimiter("/"));
            assert_eq!(
                (top.0, top.1),
                (vec!["a".into(), "a0".into(), "z".into()], ["a/", "b/", "ü/", "😀/"].map(String::from).to_vec())
            );
            let inside = run(
                &keys,
                &ListObjects::default().with_limit(Limit::new(limit).unwrap()).with_delimiter("/").with_prefix("a/"),
            );
            assert_eq!((inside.0, inside.1), (vec!["a/1".into(), "a/2".into()], vec!["a/b/".into()]));
        }
        assert_eq!(run(&keys, &ListObjects::default().with_limit(Limit::new(9).unwrap())).2, 1);
        assert_eq!(run(&keys, &ListObjects::default().with_limit(Limit::new(8).unwrap())).2, 2);
    }

    #[test]
    fn a_large_folder_is_jumped_over() {
        let many: Vec<String> = (0..1000).map(|n| format!("f/{n:04}")).chain(["g".into()]).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let got = run(&many, &ListObjects::default().with_limit(Limit::new(2).unwrap()).with_delimiter("/"));
        assert_eq!(got, (vec!["g".into()], vec!["f/".into()], 1));
    }

    #[test]
    fn cursors_of_another_list_are_refused() {
        let signer = Signer::new(&MasterKey::generate().unwrap());
        let bucket = BucketName::new("files").unwrap();
        let caller = Caller::system(TenantId::default_tenant());
        let mut listing =
            Listing::new(&signer, &caller, &bucket, &ListObjects::default().with_limit(Limit::new(1).unwrap()))
                .unwrap();
        let rows = ["a", "b"].map(|key| Object::new(bucket.clone(), ObjectKey::new(key).unwrap(), 1)).to_vec();
        listing.take(rows, 2);
        let cursor = listing.finish(&signer, &caller, &bucket).unwrap().next_cursor.unwrap();
        let asked = |asked: ListObjects, caller: &Caller, bucket: &BucketName| {
            Listing::new(&signer, caller, bucket, &asked).map(|_| ()).map_err(|error| error.code())
        };
        let with = ListObjects::default().with_cursor(cursor.clone());
        assert_eq!(asked(with.clone(), &caller, &bucket), Ok(()));
        assert_eq!(asked(with.clone().with_prefix("x"), &caller, &bucket), Err("invalid-cursor"));
        assert_eq!(asked(with.clone().with_delimiter("/"), &caller, &bucket), Err("invalid-cursor"));
        assert_eq!(asked(with.clone(), &caller, &BucketName::new("other").unwrap()), Err("invalid-cursor"));
        assert_eq!(asked(with, &Caller::system(TenantId::new("t2").unwrap()), &bucket), Err("invalid-cursor"));
        for forged in ["", ".", "a.b", "é", &cursor[1..], &cursor[..cursor.len() - 1], &format!("{cursor}A")] {
            assert_eq!(
                asked(ListObjects::default().with_cursor(forged), &caller, &bucket),
                Err("invalid-cursor"),
                "{forged}"
            );
        }
    }
}
