//! What nodes say to each other, as text.
//!
//! Rings are `r <node>` and a line `<tenant> <number>` each; a message is `m <tenant> <bytes of the channel's name>`, a
//! line's end, the name and the payload. What does not read so is not ours, and is passed over.

use crate::{id::TenantId, realtime::broadcast::Broadcast};

/// How many rings stand in one text.
pub(crate) const RINGS: usize = 64;

/// What a text says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Feeds grew, says a node.
    Rings {
        /// Who says it.
        node: String,
        /// The tenants and their numbers.
        rings: Vec<(TenantId, i64)>,
    },
    /// A message.
    Message(Broadcast),
}

/// Rings as text.
pub(crate) fn rings(node: &str, rings: &[(TenantId, i64)]) -> String {
    let mut text = format!("r {node}");
    for (tenant, seq) in rings {
        text.push_str(&format!("\n{tenant} {seq}"));
    }
    text
}

/// A message as text.
pub(crate) fn message(message: &Broadcast) -> String {
    format!("m {} {}\n{}{}", message.tenant, message.channel.len(), message.channel, message.payload)
}

/// What a text says, if it is one of ours.
pub(crate) fn read(text: &str) -> Option<Said> {
    let (head, rest) = text.split_once('\n')?;
    let mut words = head.split(' ');
    match (words.next()?, words.next()?, words.next(), words.next()) {
        ("r", node, None, None) => {
            let rings = rest.split('\n').take(RINGS).map(ring).collect::<Option<Vec<_>>>()?;
            Some(Said::Rings { node: node.to_owned(), rings })
        }
        ("m", tenant, Some(length), None) => {
            let length: usize = length.parse().ok().filter(|length| (1..=128).contains(length))?;
            let (channel, payload) = rest.split_at_checked(length)?;
            let tenant = TenantId::new(tenant).ok()?;
            let message = Broadcast { tenant, channel: channel.into(), payload: payload.into() };
            message.check().ok()?;
            Some(Said::Message(message))
        }
        _ => None,
    }
}

fn ring(line: &str) -> Option<(TenantId, i64)> {
    let (tenant, seq) = line.split_once(' ')?;
    Some((TenantId::new(tenant).ok()?, seq.parse().ok()?))
}

/// FNV-1a of 64 bits, which every version of this program computes alike.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::broadcast::MAX_PAYLOAD;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn what_is_said_is_read() {
        let said = vec![(tenant("a"), 1), (tenant("b-2"), i64::MAX)];
        assert_eq!(read(&rings("n1", &said)), Some(Said::Rings { node: "n1".to_owned(), rings: said }));
        for (channel, payload) in [("room:1", "{\"a\":1}"), ("ü\n 'x\"", "\n\n'\"\u{1}€"), ("c", "")] {
            let sent = Broadcast { tenant: tenant("a"), channel: channel.into(), payload: payload.into() };
            assert_eq!(read(&message(&sent)), Some(Said::Message(sent)));
        }
    }

    #[test]
    fn what_is_not_ours_is_passed_over() {
        let long = format!("m a 1\nc{}", "x".repeat(MAX_PAYLOAD + 1));
        for text in [
            "",
            "r",
            "r n",
            "r n\n",
            "r n\na",
            "r n\nA 1",
            "r n\na 1\nb",
            "r n\na 99999999999999999999",
            "m a\nc",
            "m a 0\nc",
            "m a 9\nc",
            "m a 129\nc",
            "m a 1\nü",
            "m A 1\nc",
            "m a 1 1\nc",
            "x a 1\nc",
            &long,
        ] {
            assert_eq!(read(text), None, "{text:.40}");
        }
    }

    #[test]
    fn a_hash_never_changes() {
        assert_eq!([hash(""), hash("a")], [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c]);
    }
}
