//! The functions of the backend: the host's, and the one that sends mail.

use std::sync::Arc;

use crate::{
    builder::{Builder, invalid},
    error::Result,
    jobs::{Functions, Mailer, register_send_email},
};

impl Builder {
    pub(super) fn functions(&mut self) -> Result<(Functions, String)> {
        let (mailer, shown) = match self.mailer.take() {
            Some(mailer) => (Some(mailer), "the host's mailer"),
            None => self.smtp()?,
        };
        let mut functions = Functions::builder().extend(&self.functions);
        if let Some(mailer) = mailer {
            functions = register_send_email(functions, mailer);
        }
        Ok((functions.build()?, shown.to_owned()))
    }

    #[cfg(feature = "smtp")]
    fn smtp(&self) -> Result<(Option<Arc<dyn Mailer>>, &'static str)> {
        use crate::drivers::smtp::{SmtpMailer, SmtpSettings};
        let Some(url) = &self.settings.smtp_url else { return Ok((None, "none")) };
        let Some(from) = &self.settings.mail_from else {
            return Err(invalid("mail_from", "mails need a sender: set UNIVERSAL_MAIL_FROM"));
        };
        let settings = SmtpSettings::from_url(url, from)?;
        Ok((Some(Arc::new(SmtpMailer::new(&settings)?)), "SMTP"))
    }

    #[cfg(not(feature = "smtp"))]
    fn smtp(&self) -> Result<(Option<Arc<dyn Mailer>>, &'static str)> {
        match &self.settings.smtp_url {
            None => Ok((None, "none")),
            Some(_) => Err(invalid("smtp_url", "this program was built without the feature `smtp`")),
        }
    }
}
