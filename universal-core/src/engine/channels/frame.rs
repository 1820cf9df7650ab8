//! What nodes say to one another.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    id::UserId,
    realtime::{
        channel::Member,
        payload::{EventName, Payload},
    },
};

/// What one node says in one channel.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Frame<'a> {
    /// Who says it.
    #[serde(borrow)]
    pub(super) node: Cow<'a, str>,
    /// What it says.
    pub(super) said: Said,
}

/// What is said. A version counts the changes of the node's members in the channel.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// A message for all who joined.
    Message {
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<UserId>,
        event: EventName,
        #[serde(deserialize_with = "Payload::deserialize_trusted")]
        payload: Payload,
    },
    /// Members of the node's that are new or changed, and that went: the change with this version.
    Changed {
        version: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        put: Vec<Shown>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gone: Vec<String>,
    },
    /// A part of all members that the node has at this version.
    All { version: u64, part: usize, parts: usize, members: Vec<Shown> },
    /// The node is there, and its members are those of this version.
    Beat { version: u64 },
    /// Who is there? Of one node, or of all.
    Ask {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<String>,
    },
    /// The node ends, and its members with it.
    Bye,
}

/// A member as nodes tell it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shown {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(deserialize_with = "Payload::deserialize_trusted")]
    state: Payload,
    since: i64,
}

impl Shown {
    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.state.as_str().len() + 160
    }
}

impl From<&Member> for Shown {
    fn from(member: &Member) -> Self {
        Self {
            key: member.key.as_ref().to_owned(),
            user: member.user.clone(),
            state: member.state.clone(),
            since: member.since.as_micros(),
        }
    }
}

impl From<Shown> for Member {
    fn from(shown: Shown) -> Self {
        Self::new(Arc::from(shown.key), shown.user, shown.state, Timestamp::from_micros(shown.since))
    }
}

impl<'a> Frame<'a> {
    pub(super) fn new(node: &'a str, said: Said) -> Self {
        Self { node: Cow::Borrowed(node), said }
    }

    /// # Errors
    /// `Internal` for what no node of this version says.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        serde_json::from_str(text).map_err(Error::internal)
    }

    /// # Errors
    /// `Internal` if it cannot be printed.
    pub(super) fn to_text(&self) -> Result<Arc<str>> {
        serde_json::to_string(self).map(Arc::from).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_said() {
        let payload = Payload::of(&serde_json::json!({"text": "a\"b", "n": [1, null]})).unwrap();
        let member = Member::new("k".into(), None, payload.clone(), Timestamp::from_micros(5));
        let said = [
            Said::Message { key: None, from: None, event: EventName::new("a\"b").unwrap(), payload },
            Said::Changed { version: 7, put: vec![Shown::from(&member)], gone: vec!["x".into()] },
            Said::All { version: 7, part: 0, parts: 1, members: vec![Shown::from(&member)] },
            Said::Beat { version: u64::MAX },
            Said::Ask { of: None },
            Said::Bye,
        ];
        for said in said {
            let text = Frame::new("n", said).to_text().unwrap();
            let read = Frame::parse(&text).unwrap();
            assert_eq!(read.to_text().unwrap(), text);
        }
        let Said::All { members, .. } =
            Frame::new("n", Said::All { version: 1, part: 0, parts: 1, members: vec![Shown::from(&member)] }).said
        else {
            panic!("all")
        };
        assert_eq!(Member::from(members[0].clone()), member);
    }
}
