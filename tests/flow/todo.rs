//! The todo page in a browser: sign-up, two windows, a file, and what people write is only text.

use std::fs;

use universal_tests::{chromium::Chromium, environment::repository, server::Server};

#[tokio::test(flavor = "multi_thread")]
async fn todos_appear_in_two_windows() {
    let server = Server::prepare("todo", None).mounted("/api").started().await;
    let browser = Chromium::launch().await;

    let first = browser.open(&format!("{}/", server.url())).await;
    first.until("!document.querySelector('#door').hidden").await;
    first.type_into("#email", "ada@example.test").await;
    first.type_into("#password", "correct horse battery staple").await;
    first.click("#sign-up").await;
    first.until("document.querySelector('#connection').dataset.state === 'live'").await;

    // A second window of the same browser is signed in already.
    let second = browser.open(&format!("{}/", server.url())).await;
    second.until("document.querySelector('#connection').dataset.state === 'live'").await;

    let hostile = "<img src=x onerror=\"document.title='run'\"> & \"tea\"";
    for title in ["Buy milk", "Call Grace", hostile] {
        first.type_into("#title", title).await;
        first.click("#add button").await;
        first.until("document.querySelector('#title').value === ''").await;
    }
    // Newest first, in the window that did nothing.
    second.until("document.querySelectorAll('#list li').length === 3").await;
    let titles = second.evaluate("[...document.querySelectorAll('.title')].map(title => title.textContent)").await;
    assert_eq!(titles, serde_json::json!([hostile, "Call Grace", "Buy milk"]));
    assert_eq!(second.evaluate("document.title").await, "Todo", "what a person wrote was run");
    assert_eq!(second.evaluate("document.querySelectorAll('#list img').length").await, 0);

    // Done in the second window, seen in the first.
    second.click("#list li:last-child input[type=checkbox]").await;
    first.until("document.querySelector('#list li:last-child').className === 'done'").await;
    first.until("document.querySelector('#count').textContent === '2 of 3 open'").await;

    // A file, attached in the first and read in the second.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("shopping list.txt");
    fs::write(&file, "milk, tea").expect("a file");
    first.choose_file("#list li:last-child input[type=file]", &file).await;
    second.until("document.querySelector('#list li:last-child .file').textContent === 'shopping list.txt'").await;
    let read = "(async () => {
        const api = await import('./api.js');
        const { items } = await api.collection('todos').all();
        const { file } = items.find(todo => todo.file);
        return (await api.download('attachments', file.key)).text();
    })()";
    assert_eq!(second.evaluate(read).await, "milk, tea");

    // Signing out in one window signs out the other; a wrong password is told.
    let pictures = repository().join("target").join("screenshots");
    second.screenshot(&pictures.join("todo.png")).await;
    first.click("#sign-out").await;
    second.until("!document.querySelector('#door').hidden && document.querySelectorAll('#list li').length === 0").await;
    second.type_into("#email", "ada@example.test").await;
    second.type_into("#password", "wrong horse battery staple").await;
    second.click("#sign-in button[value=login]").await;
    second.until("!document.querySelector('#message').hidden").await;
    second.screenshot(&pictures.join("todo-sign-in.png")).await;

    let console = browser.console();
    assert!(console.iter().all(|line| !line.starts_with("exception")), "{console:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_survives_a_restart_of_the_server() {
    let server = Server::prepare("todo", None).mounted("/api").started().await;
    let browser = Chromium::launch().await;
    let page = browser.open(&format!("{}/", server.url())).await;
    page.until("!document.querySelector('#door').hidden").await;
    page.type_into("#email", "ada@example.test").await;
    page.type_into("#password", "correct horse battery staple").await;
    page.click("#sign-up").await;
    page.until("document.querySelector('#connection').dataset.state === 'live'").await;

    server.kill();
    page.until("document.querySelector('#connection').dataset.state === 'connecting'").await;
    server.start().await;
    // Written by another program while the page was away from the feed.
    let ada = server.client().login("ada@example.test", "correct horse battery staple").await;
    ada.create("todos", serde_json::json!({ "title": "While you were away", "done": false })).await;
    page.until("document.querySelector('.title')?.textContent === 'While you were away'").await;
    page.until("document.querySelector('#connection').dataset.state === 'live'").await;
}
