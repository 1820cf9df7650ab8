//! One call that writes, with its idempotency key if it has one.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use universal_core::{
    collections::{Collections, Command, IdempotencyKey, Outcome},
    error::{Error, Result},
};

use crate::{context::Context, response::Response};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What the call did, now or when it was first sent.
pub(super) struct Done {
    outcome: Outcome,
    replayed: bool,
}

impl Done {
    /// The answer that `write` makes of the outcome, marked if it was given before.
    pub(super) fn answer(self, write: impl FnOnce(Outcome) -> Result<Response>) -> Result<Response> {
        let mut response = write(self.outcome)?;
        if self.replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        Ok(response)
    }
}

/// Does what `command` says, once if the request has an `Idempotency-Key`.
///
/// # Errors
/// `Invalid` for a malformed key; those of the command.
pub(super) async fn perform(service: &Arc<dyn Collections>, cx: &Context, command: Command) -> Result<Done> {
    match key(cx)? {
        Some(key) => {
            let once = service.once(cx.caller(), &key, command).await?;
            Ok(Done { outcome: once.outcome, replayed: once.replayed })
        }
        None => Ok(Done { outcome: service.perform(cx.caller(), command).await?, replayed: false }),
    }
}

fn key(cx: &Context) -> Result<Option<IdempotencyKey>> {
    let mut values = cx.headers().get_all(&KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        // What is no text is no key either; the check says what one is.
        (Some(value), None) => IdempotencyKey::new(value.to_str().unwrap_or_default()).map(Some),
        (Some(_), Some(_)) => {
            Err(Error::invalid("invalid-idempotency-key", "send one Idempotency-Key").with_field("Idempotency-Key"))
        }
    }
}
