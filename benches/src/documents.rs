//! The documents and requests that are measured.

use bytes::Bytes;

use crate::client::Call;

/// How many documents the collection that is read holds.
pub(crate) const READ: u64 = 1000;
/// The collection that is read.
pub(crate) const READ_COLLECTION: &str = "measured";
/// The settings of the collections that are read: the owner rule, and the index that [`Operation::Short`] goes through.
pub(crate) const SETTINGS: &str = r#"{"indexes": {"open": {"fields": ["done", "-priority"]}}}"#;
/// Filter, order and limit of [`Operation::Short`].
const SHORT: &str = "filter=done%20%3D%3D%20false&sort=-priority&limit=30";

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A new document, with the change that it is.
    Create,
    /// One document by its id.
    Get,
    /// 50 documents in the order of their ids.
    List,
    /// 50 documents that match a filter, in the order of a field.
    Filter,
    /// 30 documents that match a filter, in the order of a field, as [`SETTINGS`] prepare for it.
    Short,
}

impl Operation {
    /// All, in the order of the report.
    pub(crate) const ALL: [Self; 5] = [Self::Create, Self::Get, Self::List, Self::Filter, Self::Short];

    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list of 50",
            Self::Filter => "list of 50, filtered and sorted",
            Self::Short => "list of 30, filtered and sorted",
        }
    }

    /// The status of its answer.
    pub(crate) fn status(self) -> u16 {
        if self == Self::Create { 201 } else { 200 }
    }

    /// The request of this number; documents are created in `collection`.
    pub(crate) fn call(self, collection: &str, number: u64) -> Call {
        match self {
            Self::Create => Call::post(format!("/db/{collection}"), document(number)),
            // 7919 is prime: every document is asked for, neighbours are not.
            Self::Get => Call::get(format!("/db/{READ_COLLECTION}/d{:04}", number.wrapping_mul(7919) % READ)),
            Self::List => Call::get(format!("/db/{READ_COLLECTION}?limit=50")),
            Self::Filter => Call::get(format!(
                "/db/{READ_COLLECTION}?filter=done%20%3D%3D%20false%20%26%26%20priority%20%3E%203&sort=-priority&limit=50"
            )),
            Self::Short => short(READ_COLLECTION),
        }
    }

    /// A request of the same size for the bare service, whose answer has `answer` bytes.
    pub(crate) fn bare_call(self, number: u64, answer: usize) -> Call {
        match self {
            Self::Create => Call::post(format!("/{answer}"), document(number)),
            Self::Get | Self::List | Self::Filter | Self::Short => Call::get(format!("/{answer}")),
        }
    }
}

/// The short list of a collection.
pub(crate) fn short(collection: &str) -> Call {
    Call::get(format!("/db/{collection}?{SHORT}"))
}

/// A document with an id, among those that are read.
pub(crate) fn seeded(number: u64) -> Call {
    let members = document(number);
    let members = String::from_utf8_lossy(&members).replacen('{', &format!("{{\"id\":\"d{number:04}\","), 1);
    Call::post(format!("/db/{READ_COLLECTION}"), members)
}

/// A document as an application might have it: 236 bytes, a little more with large numbers.
pub(crate) fn document(number: u64) -> Bytes {
    let (done, priority) = (number.is_multiple_of(3), number % 10);
    Bytes::from(format!(
        "{{\"title\":\"Make tea for the visitors\",\"done\":{done},\"priority\":{priority},\"number\":{number},\
         \"tags\":[\"kitchen\",\"visitors\"],\"due\":\"2026-03-01T16:30:00Z\",\
         \"notes\":\"Two pots, one of them without caffeine; ask who takes milk before it is poured.\"}}"
    ))
}
