//! Why a client may not come in, in the shape that its program reads: a sentence, and the code beside it.
//!
//! The engine writes `{"message": …}` and nothing else, and only the text is ours to choose. So the text is code and sentence,
//! and what the engine wrote is written again on its way to the client, as `{"message": …, "data": {"code": …}}`.

use std::{borrow::Cow, fmt};

use serde_json::json;
use universal_core::error::Error;

/// What stands between the code and the sentence; no code has it.
const BETWEEN: char = '\n';

/// The code of a refusal that is the engine's own: a namespace that is not there.
const UNKNOWN: &str = "unknown-namespace";

/// Why a client was not admitted.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { code: error.code(), message: Cow::Owned(error.message().to_owned()) }
    }
}

/// For the engine.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{BETWEEN}{}", self.code, self.message)
    }
}

/// A packet that refuses, written again; nothing for another packet.
pub(super) fn written_again(packet: &[u8]) -> Option<Vec<u8>> {
    if !refuses(packet) {
        return None;
    }
    let at = packet.iter().position(|byte| *byte == b'{')?;
    let (head, body) = packet.split_at_checked(at)?;
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = body.get("message")?.as_str()?;
    let (code, message) = text.split_once(BETWEEN).unwrap_or((UNKNOWN, text));
    let body = json!({ "message": message, "data": { "code": code } }).to_string();
    Some([head, body.as_bytes()].concat())
}

/// A message (`4`) that is a CONNECT_ERROR (`4`).
fn refuses(packet: &[u8]) -> bool {
    packet.starts_with(b"44")
}

/// What the engine writes to a WebSocket, looked at for frames that refuse. A frame goes on as it is written, but one that
/// refuses is kept until it is whole.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// How much of a frame that goes on is still to come.
    rest: usize,
    /// The beginning of a frame that refuses, or of which nobody knows yet.
    kept: Vec<u8>,
    /// What goes on before anything else.
    due: Vec<u8>,
}

/// What is known of a frame, with its whole length.
enum Look {
    Incomplete,
    Refuses(usize),
    Other(usize),
}

impl Refusals {
    /// What goes on before anything else.
    pub(super) fn due(&self) -> &[u8] {
        &self.due
    }

    /// So much of that has gone on.
    pub(super) fn gone(&mut self, count: usize) {
        self.due.drain(..count.min(self.due.len()));
    }

    /// How many of these bytes go on as they are.
    pub(super) fn passable(&self, bytes: &[u8]) -> usize {
        if !self.kept.is_empty() {
            return 0;
        }
        let mut at = self.rest;
        while let Some(frame) = bytes.get(at..).filter(|frame| !frame.is_empty()) {
            match look(frame) {
                Look::Other(length) => at = at.saturating_add(length),
                Look::Incomplete | Look::Refuses(_) => return at,
            }
        }
        bytes.len()
    }

    /// So many of these bytes went on; not more than may.
    pub(super) fn passed(&mut self, bytes: &[u8], count: usize) {
        let mut end = self.rest;
        while end < count {
            let Some(Look::Other(length)) = bytes.get(end..).map(look) else { break };
            end = end.saturating_add(length);
        }
        self.rest = end.saturating_sub(count);
    }

    /// Keeps the first of these bytes, none of which goes on as it is; answers how many.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for byte in bytes {
            self.kept.push(*byte);
            count += 1;
            match look(&self.kept) {
                Look::Incomplete => {}
                Look::Refuses(length) if self.kept.len() < length => {}
                Look::Refuses(_) => {
                    let kept = std::mem::take(&mut self.kept);
                    self.due = frame_written_again(&kept).unwrap_or(kept);
                    break;
                }
                Look::Other(length) => {
                    self.due = std::mem::take(&mut self.kept);
                    self.rest = length.saturating_sub(self.due.len());
                    break;
                }
            }
        }
        count
    }
}

/// The bytes before what a frame of a server carries, and how many it carries.
fn head(frame: &[u8]) -> Option<(usize, usize)> {
    let length = usize::from(frame.get(1)? & 0x7f);
    match length {
        0..=125 => Some((2, length)),
        126 => Some((4, usize::from(u16::from_be_bytes(frame.get(2..4)?.try_into().ok()?)))),
        _ => {
            let length = u64::from_be_bytes(frame.get(2..10)?.try_into().ok()?);
            Some((10, usize::try_from(length).unwrap_or(usize::MAX)))
        }
    }
}

fn look(frame: &[u8]) -> Look {
    /// The last, and only, part of a text.
    const TEXT: u8 = 0x81;
    let Some((head, length)) = head(frame) else { return Look::Incomplete };
    let whole = head.saturating_add(length);
    if frame.first() != Some(&TEXT) || length < 2 {
        return Look::Other(whole);
    }
    match frame.get(head..head + 2) {
        None => Look::Incomplete,
        Some(first) if refuses(first) => Look::Refuses(whole),
        Some(_) => Look::Other(whole),
    }
}

fn frame_written_again(frame: &[u8]) -> Option<Vec<u8>> {
    let (head, _) = head(frame)?;
    let packet = written_again(frame.get(head..)?)?;
    let mut again = vec![*frame.first()?];
    match u8::try_from(packet.len()) {
        Ok(short @ 0..=125) => again.push(short),
        _ => {
            again.push(126);
            // Longer ones go on as they are.
            again.extend(u16::try_from(packet.len()).ok()?.to_be_bytes());
        }
    }
    again.extend(packet);
    Some(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, carried: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        match carried.len() {
            short @ 0..=125 => bytes.push(u8::try_from(short).unwrap()),
            middle @ 126..=65535 => {
                bytes.push(126);
                bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(127);
                bytes.extend(u64::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend(carried);
        bytes
    }

    #[test]
    fn a_refusal_has_a_sentence_and_a_code() {
        let refused = Refused { code: "invalid-token", message: "no \"token\"\nof ours".into() };
        let packet = format!("44{}", json!({ "message": refused.to_string() }));
        let again = written_again(packet.as_bytes()).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&again[2..]).unwrap();
        assert_eq!(body, json!({ "message": "no \"token\"\nof ours", "data": { "code": "invalid-token" } }));
        let again = written_again(br#"44/other,{"message":"Invalid namespace"}"#).unwrap();
        assert!(again.starts_with(b"44/other,{"));
        assert!(String::from_utf8(again).unwrap().contains(r#""code":"unknown-namespace""#));
        for other in ["", "4", "44", "44x", "40{}", "42[\"44\"]", "44[]", "44{\"message\":5}"] {
            assert_eq!(written_again(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn frames_go_on_whatever_pieces_they_are_written_in_and_only_refusals_change() {
        let refusal = br#"44{"message":"a-code\nA sentence that has a good many letters, so that its frame becomes longer than before."}"#;
        let broken = b"44 nothing that anybody understands";
        let (short, long, longest) = (vec![b'4'; 1], vec![b'x'; 300], vec![b'4'; 70_000]);
        let all: [(u8, &[u8]); 9] = [
            (1, b"0{}"),
            (1, refusal),
            (2, refusal),
            (1, &short),
            (1, &long),
            (1, broken),
            (9, b""),
            (1, &longest[..2]),
            (1, refusal),
        ];
        let written: Vec<u8> = all.iter().flat_map(|(opcode, carried)| frame(*opcode, carried)).collect();
        let wanted: Vec<u8> = all
            .iter()
            .flat_map(|(opcode, carried)| {
                let again = (*opcode == 1).then(|| written_again(carried)).flatten();
                frame(*opcode, &again.unwrap_or_else(|| carried.to_vec()))
            })
            .collect();
        assert!(wanted.len() > written.len());
        for piece in [1, 2, 3, 5, 100, written.len()] {
            // How much the network takes at once.
            for takes in [1, 3, 1_000_000] {
                let (mut refusals, mut sent) = (Refusals::default(), Vec::new());
                let pass_on = |refusals: &mut Refusals, sent: &mut Vec<u8>| {
                    sent.extend(refusals.due().to_vec());
                    refusals.gone(refusals.due().len());
                };
                for mut bytes in written.chunks(piece) {
                    while !bytes.is_empty() {
                        pass_on(&mut refusals, &mut sent);
                        let count = match refusals.passable(bytes) {
                            0 => refusals.keep(bytes),
                            count => {
                                let count = count.min(takes);
                                refusals.passed(bytes, count);
                                sent.extend(&bytes[..count]);
                                count
                            }
                        };
                        bytes = &bytes[count..];
                    }
                }
                pass_on(&mut refusals, &mut sent);
                assert!(sent == wanted, "pieces of {piece}, {takes} taken at once");
            }
        }
        let refusals = Refusals::default();
        let large = frame(1, &longest);
        assert_eq!(refusals.passable(&large[..2_000]), 0, "it may refuse: `44`");
        assert_eq!(refusals.passable(&frame(1, &vec![b'x'; 70_000])[..2_000]), 2_000);
    }
}
