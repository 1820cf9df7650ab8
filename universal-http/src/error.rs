//! From [`Error`] to an answer. The only place that knows which kind has which status.

use http::{HeaderValue, StatusCode, header};
use universal_core::error::{Error, ErrorKind};

use crate::{
    problem::{Place, Problem},
    response::Response,
};

/// The status of an error: by its code where HTTP has a status of its own for the case, else by its kind.
pub(crate) fn status(error: &Error) -> StatusCode {
    match error.code() {
        "body-idle" => return StatusCode::REQUEST_TIMEOUT,
        "method-not-allowed" => return StatusCode::METHOD_NOT_ALLOWED,
        "range-not-satisfiable" => return StatusCode::RANGE_NOT_SATISFIABLE,
        "unsupported-media-type" => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "upgrade-required" => return StatusCode::UPGRADE_REQUIRED,
        "uri-too-long" => return StatusCode::URI_TOO_LONG,
        _ => {}
    }
    match error.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer to a failed request. What went wrong inside is logged here, once, and not told.
pub(crate) fn into_response(error: &Error, request_id: &str) -> Response {
    into_response_with(error, request_id, None)
}

/// The same with what became of the parts of the request.
pub(crate) fn into_response_with(error: &Error, request_id: &str, results: Option<serde_json::Value>) -> Response {
    let status = status(error);
    log(error, status, request_id);
    let mut problem = Problem::new(status, error.code(), error.message(), request_id);
    problem.results = results;
    let pointer = error.field().filter(|field| field.is_empty() || field.starts_with('/'));
    let parameter = error.field().filter(|_| pointer.is_none());
    if error.field().is_some() || error.position().is_some() {
        problem.errors.push(Place {
            pointer,
            parameter,
            position: error.position(),
            code: error.code(),
            detail: error.message(),
        });
    }
    let mut response = problem.into_response(status);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        // RFC 6750 §3: no error attribute when the request had no credentials at all.
        let challenge = match error.code() {
            "unauthenticated" | "sign-in-required" | "invalid-credentials" => HeaderValue::from_static("Bearer"),
            _ => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        };
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    // Of a write whose fate is unknown nothing is said: whoever repeats it blindly may do it twice.
    let repeatable = error.kind() != ErrorKind::OutcomeUnknown;
    if repeatable && matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        // Whole seconds, rounded up: earlier would be too early.
        let after = error.retry_after().map_or(1, |after| after.as_secs() + u64::from(after.subsec_nanos() > 0));
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.max(1)));
    }
    response
}

fn log(error: &Error, status: StatusCode, request_id: &str) {
    use std::error::Error as _;
    if error.kind() == ErrorKind::Internal {
        tracing::error!(request.id = request_id, code = error.code(), source = ?error.source(), "request failed");
    } else if status.is_server_error() {
        tracing::warn!(request.id = request_id, code = error.code(), source = ?error.source(), "request not served");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_errors_are_opaque() {
        let error = Error::internal("SELECT secret FROM place");
        let response = into_response(&error, "r1");
        assert_eq!(response.status(), 500);
        assert!(!error.message().contains("SELECT"));
    }

    #[test]
    fn retry_after_is_rounded_up() {
        let error = Error::new(ErrorKind::RateLimited, "rate-limited", "later")
            .with_retry_after(std::time::Duration::from_millis(1200));
        let response = into_response(&error, "r1");
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn credentials_are_challenged() {
        let error = Error::new(ErrorKind::Unauthenticated, "token-expired", "log in again");
        let response = into_response(&error, "r1");
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
    }
}
