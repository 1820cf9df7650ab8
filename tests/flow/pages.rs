//! The sessions printed in the pages of `docs/`, run as they are printed.
//!
//! A page with `<!-- session -->` is one shell script: all its blocks of `sh`, one after the other. What the script prints is shown in lines
//! that begin with `#> `, in which `…` stands for anything.

use std::{fs, process::Stdio};

use tokio::process::Command;
use universal_tests::{
    environment::repository,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD, Server},
};

use super::readme::matches;

const MARK: &str = "<!-- session -->";

/// Every page with a session, by its name.
fn pages() -> Vec<(String, String)> {
    let folder = fs::read_dir(repository().join("docs")).expect("docs");
    let files = folder.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file());
    let read = files.map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).unwrap_or_default())
    });
    let mut pages: Vec<_> = read.filter(|(_, text)| text.contains(MARK)).collect();
    pages.sort();
    pages
}

/// The blocks of `sh`, as one script.
fn script(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split_once("\n```"));
    blocks.map(|(block, _)| block).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_the_pages_pass_as_printed() {
    let pages = pages();
    assert!(pages.len() > 5, "the pages are not where they are looked for");
    let server = Server::sqlite().await;
    let mut wrong = Vec::new();
    for (name, page) in pages {
        let script = script(&page);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script.replace(":8080", &format!(":{}", server.port()))])
            .current_dir(folder.path())
            .envs([("UNIVERSAL_ADMIN_EMAIL", ADMIN_EMAIL), ("UNIVERSAL_ADMIN_PASSWORD", ADMIN_PASSWORD)])
            .stdin(Stdio::null())
            .output()
            .await
            .expect("bash");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            wrong.push(format!("{name}: {}\n--- out\n{out}\n--- err\n{err}", output.status));
            continue;
        }
        let shown: Vec<&str> = out.lines().filter(|line| !line.trim().is_empty()).collect();
        let expected: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("#> ")).collect();
        for (at, expected) in expected.iter().enumerate() {
            let line = shown.get(at).copied().unwrap_or_default();
            if !matches(expected, line) {
                wrong.push(format!("{name}, line {} is\n  {line}\ninstead of\n  {expected}", at + 1));
            }
        }
        if shown.len() > expected.len() {
            wrong.push(format!("{name} prints other lines too:\n{out}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
