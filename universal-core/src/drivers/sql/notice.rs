//! Texts of any length in notices of PostgreSQL, which have less than 8000 bytes.
//!
//! A long text goes in pieces: `p <node> <number> <index> <count>`, a line's end, and a part of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use crate::realtime::broadcast::MAX_PAYLOAD;

/// The longest text: a message with its head.
const LONGEST: usize = MAX_PAYLOAD + 256;
/// The most bytes of a notice, some left for the head of a piece.
const ROOM: usize = 7_800;
/// The most pieces of one text.
const PIECES: usize = LONGEST.div_ceil(ROOM - 3) + 1;
/// How many texts may be unfinished at once.
const TEXTS: usize = 64;
/// How long one may be unfinished: its pieces come in one transaction, so together.
const AGE: Duration = Duration::from_secs(10);

/// A text as notices. A short one is one piece: of equal notices of one transaction PostgreSQL delivers the first only, so
/// each needs its number.
pub(super) fn pieces(text: &str, node: &str, number: u64) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // Not inside a character.
        let (part, after) = rest.split_at(rest.floor_char_boundary(ROOM));
        parts.push(part);
        rest = after;
    }
    let count = parts.len();
    let piece = |(index, part): (usize, &&str)| format!("p {node} {number} {index} {count}\n{part}");
    parts.iter().enumerate().map(piece).collect()
}

/// Texts whose pieces have not all come.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    texts: HashMap<(String, u64), Text>,
}

#[derive(Debug)]
struct Text {
    parts: Vec<Option<String>>,
    since: Instant,
}

impl Unfinished {
    /// The whole text, once `notice` completes it; a notice that is no piece is one by itself.
    pub(super) fn whole(&mut self, notice: &str) -> Option<String> {
        let Some(piece) = notice.strip_prefix("p ") else { return Some(notice.to_owned()) };
        let (key, index, count, part) = read(piece)?;
        if self.texts.len() >= TEXTS && !self.texts.contains_key(&key) {
            self.texts.retain(|_, text| text.since.elapsed() < AGE);
            if self.texts.len() >= TEXTS {
                return None;
            }
        }
        let mut text = match self.texts.entry(key) {
            Entry::Occupied(text) => text,
            Entry::Vacant(place) => place.insert_entry(Text { parts: vec![None; count], since: Instant::now() }),
        };
        if text.get().parts.len() != count || text.get().since.elapsed() >= AGE {
            text.remove();
            return None;
        }
        *text.get_mut().parts.get_mut(index)? = Some(part.to_owned());
        if text.get().parts.iter().any(Option::is_none) {
            return None;
        }
        Some(text.remove().parts.into_iter().flatten().collect())
    }
}

fn read(piece: &str) -> Option<((String, u64), usize, usize, &str)> {
    let (head, part) = piece.split_once('\n')?;
    let mut words = head.split(' ');
    let key = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    let (index, count): (usize, usize) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let fits = words.next().is_none() && key.0.len() <= 32 && index < count && count <= PIECES;
    fits.then_some((key, index, count, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_put_together_from_pieces_in_any_order() {
        let text: String = "aü€\u{1F600}\n".chars().cycle().take(30_000).collect();
        let sent = pieces(&text, "n1", 7);
        assert!(sent.len() > 5 && sent.iter().all(|piece| piece.len() < 8000));
        let other = pieces(&text, "n2", 7);
        let mut unfinished = Unfinished::default();
        let mut whole = Vec::new();
        for (one, two) in sent.iter().rev().zip(&other) {
            whole.extend(unfinished.whole(one));
            whole.extend(unfinished.whole(two));
        }
        assert_eq!(whole, [text.clone(), text]);
        assert!(unfinished.texts.is_empty());
        assert_eq!(unfinished.whole("short"), Some("short".to_owned()));
        assert_eq!(pieces("short", "n1", 1), ["p n1 1 0 1\nshort"]);
        assert_eq!(unfinished.whole("p n1 1 0 1\nshort"), Some("short".to_owned()));
    }

    #[test]
    fn the_longest_message_has_not_too_many_pieces() {
        let text = "€".repeat(LONGEST / 3);
        let mut unfinished = Unfinished::default();
        let whole: Vec<_> = pieces(&text, "n", 1).iter().filter_map(|piece| unfinished.whole(piece)).collect();
        assert_eq!(whole, [text]);
    }

    #[test]
    fn pieces_that_never_come_take_a_bounded_place() {
        let mut unfinished = Unfinished::default();
        for n in 0..1000 {
            assert_eq!(unfinished.whole(&format!("p n {n} 0 2\nx")), None);
        }
        assert_eq!(unfinished.texts.len(), TEXTS);
        for bad in ["p ", "p n", "p n 1 2 2\nx", "p n 1 0 999\nx", "p n x 0 2\nx", "p n 1 0 2 3\nx", "p n 0 1 3\nx"] {
            assert_eq!(unfinished.whole(bad), None, "{bad}");
        }
    }
}
