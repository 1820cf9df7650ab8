//! `send_email` is a job, and a real SMTP server gets the mail.

use serde_json::json;
use universal_tests::{server::Server, smtp::MailServer, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_sends_an_email() {
    let mails = MailServer::start().await;
    let server = Server::prepare("server", None)
        .with("UNIVERSAL_SMTP_URL", mails.url())
        .with("UNIVERSAL_MAIL_FROM", "backend@example.test")
        .started()
        .await;
    let admin = server.admin().await;
    let order = json!({ "to": "grace@example.test", "subject": "Grüße", "text": "Hello\n.\nGrace" });
    let job = admin.post("/functions/send_email/run?mode=queue", order).await.expect(202).json();
    let mail = mails.until(1).await.remove(0);
    assert!(mail.contains("To: grace@example.test"), "{mail}");
    assert!(mail.contains("From: backend@example.test"), "{mail}");
    assert!(mail.contains("Grace"), "{mail}");
    let path = format!("/jobs/{}", job["id"].as_str().expect("a job's id"));
    wait::until("the job to be done", std::time::Duration::from_secs(20), || async {
        admin.read(&path).await.json()["state"] == "succeeded"
    })
    .await;
    assert_eq!(mails.mails().len(), 1, "one mail for one job");
}
