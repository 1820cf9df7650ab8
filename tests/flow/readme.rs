//! The session printed in the README, run as it is printed.
//!
//! The block after `<!-- session -->` is a shell script; what each command prints is shown below it in lines that begin with `#> `.
//! In those lines `…` stands for anything, because ids, times and tokens differ from run to run.

use std::{
    fs,
    process::{Command, Stdio},
};

use universal_tests::{environment::repository, server::Server};

const PORT: &str = "8080";

/// The commands, and what they print.
struct Session {
    script: String,
    expected: Vec<String>,
}

fn printed() -> Session {
    let readme = fs::read_to_string(repository().join("README.md")).expect("README.md");
    let (_, after) = readme.split_once("<!-- session -->").expect("README.md marks its session with <!-- session -->");
    let (_, block) = after.split_once("```sh\n").expect("the session is a block of sh");
    let (block, _) = block.split_once("\n```").expect("the block ends");
    let expected = block.lines().filter_map(|line| line.strip_prefix("#> ")).map(str::to_owned).collect();
    Session { script: block.to_owned(), expected }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_the_readme_passes_as_printed() {
    let session = printed();
    let server = Server::sqlite().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The one thing that differs from what is printed: the port, which may be taken on this machine.
    let script = session.script.replace(&format!(":{PORT}"), &format!(":{}", server.port()));
    let output = tokio::task::spawn_blocking({
        let folder = folder.path().to_owned();
        move || {
            Command::new("bash")
                .args(["-euo", "pipefail", "-c", &script])
                .current_dir(folder)
                .stdin(Stdio::null())
                .output()
                .expect("bash")
        }
    })
    .await
    .expect("the session runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n--- out\n{out}\n--- err\n{err}", output.status);
    let shown: Vec<&str> = out.lines().filter(|line| !line.trim().is_empty()).collect();
    for (number, expected) in session.expected.iter().enumerate() {
        let line = shown.get(number).copied().unwrap_or_default();
        assert!(matches(expected, line), "line {} is\n  {line}\ninstead of\n  {expected}\n--- all\n{out}", number + 1);
    }
    assert_eq!(shown.len(), session.expected.len(), "it prints other lines too:\n{out}");
}

/// Whether `line` is `pattern`, in which `…` stands for anything.
pub(super) fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[test]
fn an_ellipsis_stands_for_anything() {
    assert!(matches("{\"id\":\"…\",\"a\":1,…}", "{\"id\":\"x\",\"a\":1,\"b\":2}"));
    assert!(matches("abc", "abc"));
    assert!(!matches("abc", "abcd"));
    assert!(!matches("a…c", "abcd"));
    assert!(!matches("a…b…c", "ac"));
}
