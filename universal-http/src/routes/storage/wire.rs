//! The bodies.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use universal_core::{
    clock::Timestamp,
    storage::{BucketName, ContentType, ObjectKey, PresignMethod, PresignRequest},
};

/// `POST /storage/_presign`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Presign {
    bucket: BucketName,
    key: ObjectKey,
    method: PresignMethod,
    /// Seconds; 15 minutes if nothing is said.
    expires_in: Option<u64>,
    max_bytes: Option<u64>,
    content_type: Option<ContentType>,
}

impl From<Presign> for PresignRequest {
    fn from(body: Presign) -> Self {
        let mut request = Self::new(body.bucket, body.key, body.method);
        if let Some(seconds) = body.expires_in {
            request = request.with_expires_in(Duration::from_secs(seconds));
        }
        if let Some(bytes) = body.max_bytes {
            request = request.with_max_bytes(bytes);
        }
        if let Some(content_type) = body.content_type {
            request = request.with_content_type(content_type);
        }
        request
    }
}

/// Its answer.
#[derive(Debug, Serialize)]
pub(super) struct Link {
    pub(super) url: String,
    pub(super) method: PresignMethod,
    pub(super) expires_at: Timestamp,
}
