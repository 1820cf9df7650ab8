//! The function `send_email`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::jobs::{
    context::JobContext,
    function::{FunctionOptions, FunctionsBuilder},
    mailer::{Address, Email, Mailer, Subject},
};

/// The name of the function.
pub const SEND_EMAIL: &str = "send_email";

/// The input of `send_email`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SendEmail {
    /// Who reads it.
    pub to: Address,
    /// Its subject.
    pub subject: Subject,
    /// The text.
    pub text: String,
    /// The same as HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

impl SendEmail {
    /// A mail of plain text.
    #[must_use]
    pub fn new(to: Address, subject: Subject, text: impl Into<String>) -> Self {
        Self { to, subject, text: text.into(), html: None }
    }

    /// The same, with an HTML form beside the text.
    #[must_use]
    pub fn with_html(mut self, html: impl Into<String>) -> Self {
        self.html = Some(html.into());
        self
    }
}

/// Registers `send_email`, which sends through `mailer`. Only administrators and the program itself may order it:
/// whoever could, could send anything to anybody in the host's name.
pub fn register_send_email(functions: FunctionsBuilder, mailer: Arc<dyn Mailer>) -> FunctionsBuilder {
    let options = FunctionOptions::new().admin_only().with_timeout(std::time::Duration::from_secs(60));
    functions.register_with(SEND_EMAIL, options, move |job: JobContext, input: SendEmail| {
        let mailer = mailer.clone();
        async move {
            let mut email = Email::new(input.to, input.subject, input.text).with_key(job.job().id.as_str());
            email.html = input.html;
            mailer.send(&email).await
        }
    })
}
