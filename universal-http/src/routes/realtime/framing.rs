//! The frames in a stream of WebSocket bytes (RFC 6455 §5.2), looked at in passing.
#![cfg_attr(not(feature = "socketio"), expect(dead_code, reason = "only Socket.IO looks into them"))]

/// The longest head: two bytes, a length of eight, a mask of four; and two bytes of what it carries.
const LONGEST: usize = 16;

/// Reads frame after frame, whatever pieces the bytes come in.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    head: [u8; LONGEST],
    /// How much of the head is there.
    have: usize,
    /// What of the frame comes after its head.
    rest: u64,
}

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A frame begins.
    Begin(Frame),
    /// A frame is complete.
    End(Frame),
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) opcode: u8,
    /// The first bytes of what it carries, unmasked.
    first: [u8; 2],
    len: usize,
}

impl Frame {
    /// The first bytes of what it carries: two, if it has as many.
    pub(super) fn first(&self) -> &[u8] {
        self.first.get(..self.len).unwrap_or_default()
    }
}

impl Frames {
    /// Whether no frame has begun that is not complete.
    pub(super) fn at_boundary(&self) -> bool {
        self.have == 0
    }

    /// Looks at the next bytes.
    pub(super) fn see(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Seen)) {
        while let Some((byte, after)) = bytes.split_first() {
            if self.rest > 0 {
                let skipped = bytes.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX));
                self.rest -= u64::try_from(skipped).unwrap_or(self.rest);
                bytes = bytes.get(skipped..).unwrap_or_default();
            } else {
                if let Some(place) = self.head.get_mut(self.have) {
                    *place = *byte;
                }
                self.have += 1;
                bytes = after;
                let Some((frame, rest)) = self.frame() else { continue };
                self.rest = rest;
                tell(Seen::Begin(frame));
            }
            if self.rest == 0
                && let Some((frame, _)) = self.frame()
            {
                self.have = 0;
                tell(Seen::End(frame));
            }
        }
    }

    /// The frame, if its head is complete, and how many bytes come after the head.
    fn frame(&self) -> Option<(Frame, u64)> {
        let mut head = self.head.get(..self.have)?.iter().copied();
        let (first, second) = (head.next()?, head.next()?);
        let length = match second & 0x7f {
            short @ 0..=125 => u64::from(short),
            126 => big_endian(&mut head, 2)?,
            _ => big_endian(&mut head, 8)?,
        };
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            for byte in &mut mask {
                *byte = head.next()?;
            }
        }
        let len = usize::try_from(length.min(2)).unwrap_or(2);
        let mut carried = [0; 2];
        for (byte, mask) in carried.iter_mut().zip(mask).take(len) {
            *byte = head.next()? ^ mask;
        }
        Some((Frame { opcode: first & 0x0f, first: carried, len }, length.saturating_sub(2)))
    }
}

fn big_endian(bytes: &mut impl Iterator<Item = u8>, count: usize) -> Option<u64> {
    let mut number = 0;
    for _ in 0..count {
        number = number << 8 | u64::from(bytes.next()?);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as it stands on the wire.
    fn frame(opcode: u8, carried: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let masked = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match carried.len() {
            short @ 0..=125 => bytes.push(masked | u8::try_from(short).unwrap()),
            middle @ 126..=65535 => {
                bytes.push(masked | 126);
                bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(masked | 127);
                bytes.extend(u64::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend(mask.iter().flatten());
        let mask = mask.unwrap_or_default();
        bytes.extend(carried.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    #[test]
    fn frames_are_seen_in_any_pieces() {
        let mut bytes = Vec::new();
        let mut wanted = Vec::new();
        for (at, size) in [0, 1, 2, 3, 125, 126, 127, 65_535, 65_536, 100_000].into_iter().enumerate() {
            let carried = vec![b'4'; size];
            let opcode = u8::try_from(at % 3).unwrap();
            bytes.extend(frame(opcode, &carried, (at % 2 == 0).then_some([1, 2, 3, 4])));
            wanted.push((opcode, size.min(2)));
        }
        for piece in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut frames = Frames::default();
            let (mut begun, mut ended) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                frames.see(piece, |seen| match seen {
                    Seen::Begin(frame) => begun.push((frame.opcode, frame.first().to_vec())),
                    Seen::End(frame) => ended.push((frame.opcode, frame.first().to_vec())),
                });
            }
            assert!(frames.at_boundary());
            assert_eq!(begun, ended);
            let seen: Vec<_> = ended.iter().map(|(opcode, first)| (*opcode, first.len())).collect();
            assert_eq!(seen, wanted);
            assert!(ended.iter().all(|(_, first)| first.iter().all(|byte| *byte == b'4')));
        }
    }
}
