//! A real SMTP server that keeps what it is given.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{environment::required, server::free_port, wait};

/// A running SMTP server; killed when dropped.
#[derive(Debug)]
pub struct MailServer {
    child: Child,
    port: u16,
    mailbox: TempDir,
}

impl MailServer {
    /// Starts it and waits until it takes connections.
    pub async fn start() -> Self {
        let command = required("UNIVERSAL_TEST_SMTP");
        let mailbox = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "exec {command} --nosetuid --listen 127.0.0.1:{port} --class aiosmtpd.handlers.Mailbox \"$1\""
            ))
            .arg("smtp")
            .arg(mailbox.path().join("mail"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        let mut server = Self { child, port, mailbox };
        wait::until_some("the SMTP server", Duration::from_secs(30), || {
            let ended = server.child.try_wait().expect("a process of ours");
            assert!(ended.is_none(), "the SMTP server ended: {ended:?}");
            async move { TcpStream::connect(("127.0.0.1", port)).await.ok() }
        })
        .await;
        server
    }

    /// `smtp://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The mails it took, headers and all, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.mailbox.path().join("mail").join("new")) else { return Vec::new() };
        let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        files.iter().filter_map(|file| Some(String::from_utf8_lossy(&fs::read(file).ok()?).into_owned())).collect()
    }

    /// Waits for `count` mails.
    pub async fn until(&self, count: usize) -> Vec<String> {
        wait::until_some("mails", Duration::from_secs(30), || async {
            let mails = self.mails();
            (mails.len() >= count).then_some(mails)
        })
        .await
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
