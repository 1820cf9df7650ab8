//! Headless Chromium, driven through its DevTools protocol.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::Engine;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{connect_async_with_config, tungstenite::Message, tungstenite::protocol::WebSocketConfig};

use crate::{environment::required, wait};

/// A running browser; killed when dropped.
#[derive(Debug)]
pub struct Chromium {
    child: Child,
    _profile: TempDir,
    link: Arc<Link>,
    pump: JoinHandle<()>,
}

#[derive(Debug)]
struct Link {
    number: AtomicU64,
    outgoing: mpsc::Sender<String>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    /// What pages said on their console, and exceptions nobody caught.
    console: Mutex<Vec<String>>,
}

/// One window of the browser. Windows share cookies and storage, as those of one person do.
#[derive(Debug)]
pub struct Page {
    link: Arc<Link>,
    session: String,
    target: String,
}

impl Chromium {
    /// Starts the browser with an empty profile.
    pub async fn launch() -> Self {
        let program = required("UNIVERSAL_TEST_CHROMIUM");
        let profile = tempfile::tempdir().expect("a temporary folder");
        let child = Command::new(&program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"])
            .args(["--disable-quic", "--disable-default-apps", "--no-default-browser-check", "--hide-scrollbars"])
            .args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let place = profile.path().join("DevToolsActivePort");
        let address = wait::until_some("Chromium to open its DevTools port", Duration::from_secs(60), || async {
            let text = fs::read_to_string(&place).ok()?;
            let (port, path) = text.trim_end().split_once('\n')?;
            Some(format!("ws://127.0.0.1:{port}{path}"))
        })
        .await;
        let limits = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (stream, _) = connect_async_with_config(address, Some(limits), false).await.expect("Chromium's DevTools");
        let (outgoing, mut queue) = mpsc::channel::<String>(64);
        let link = Arc::new(Link {
            number: AtomicU64::new(0),
            outgoing,
            waiting: Mutex::new(HashMap::new()),
            console: Mutex::new(Vec::new()),
        });
        let pump = tokio::spawn({
            let link = link.clone();
            async move {
                let (mut sink, mut stream) = stream.split();
                loop {
                    tokio::select! {
                        text = queue.recv() => match text {
                            Some(text) => if sink.send(Message::text(text)).await.is_err() { break },
                            None => break,
                        },
                        frame = stream.next() => match frame {
                            Some(Ok(Message::Text(text))) => link.take(&text),
                            Some(Ok(_)) => {}
                            Some(Err(_)) | None => break,
                        },
                    }
                }
                // Whoever still waits for an answer gets none.
                lock(&link.waiting).clear();
            }
        });
        Self { child, _profile: profile, link, pump }
    }

    /// Opens a window at `url` and waits until it is loaded.
    pub async fn open(&self, url: &str) -> Page {
        let target = self.link.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = target["targetId"].as_str().expect("a target").to_owned();
        let attached =
            self.link.call(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true })).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { link: self.link.clone(), session, target };
        page.call("Page.enable", json!({})).await;
        page.call("Runtime.enable", json!({})).await;
        page.size(900, 760).await;
        page.navigate(url).await;
        page
    }

    /// What pages said on their console, and exceptions nobody caught.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        lock(&self.link.console).clone()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.pump.abort();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Page {
    /// Goes to `url` and waits until it is loaded.
    pub async fn navigate(&self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        self.until(&format!("document.readyState === 'complete' && location.href.startsWith({})", json!(url))).await;
    }

    /// The value of a JavaScript expression; a promise is awaited.
    pub async fn evaluate(&self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", asked).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}\n{}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true; it may throw until then.
    pub async fn until(&self, expression: &str) {
        let what = format!("the page: {expression}; console: {:?}", lock(&self.link.console));
        let guarded =
            format!("(() => {{ try {{ return Boolean({expression}) }} catch (error) {{ return false }} }})()");
        wait::until(&what, Duration::from_secs(30), || async {
            // A page that is being replaced has no context to ask in; ask again.
            let asked = json!({ "expression": guarded, "returnByValue": true });
            self.call_or_error("Runtime.evaluate", asked).await.is_ok_and(|answer| answer["result"]["value"] == true)
        })
        .await;
    }

    /// Types `text` into the field that `selector` finds, key by key as far as the page can tell.
    pub async fn type_into(&self, selector: &str, text: &str) {
        self.evaluate(&format!(
            "(() => {{ const e = document.querySelector({0}); e.focus(); e.select && e.select() }})()",
            json!(selector)
        ))
        .await;
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Clicks what `selector` finds.
    pub async fn click(&self, selector: &str) {
        self.evaluate(&format!("document.querySelector({}).click()", json!(selector))).await;
    }

    /// Chooses `file` in the file input that `selector` finds.
    pub async fn choose_file(&self, selector: &str, file: &Path) {
        let asked = json!({ "expression": format!("document.querySelector({})", json!(selector)) });
        let object = self.call("Runtime.evaluate", asked).await["result"]["objectId"].clone();
        assert!(object.is_string(), "nothing is found by {selector}");
        self.call("DOM.setFileInputFiles", json!({ "files": [file], "objectId": object })).await;
    }

    /// The size of the window's content in CSS pixels.
    pub async fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Writes a picture of the window as PNG.
    pub async fn screenshot(&self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let data = answer["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).expect("a folder for the picture");
        }
        fs::write(file, bytes).expect("the picture is written");
    }

    /// Closes the window.
    pub async fn close(self) {
        self.link.call(None, "Target.closeTarget", json!({ "targetId": self.target })).await;
    }

    async fn call(&self, method: &str, parameters: Value) -> Value {
        self.link.call(Some(&self.session), method, parameters).await
    }

    async fn call_or_error(&self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.link.call_or_error(Some(&self.session), method, parameters).await
    }
}

impl Link {
    async fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.call_or_error(session, method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn call_or_error(&self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value, Value> {
        let id = self.number.fetch_add(1, Ordering::Relaxed);
        let mut frame = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            frame["sessionId"] = json!(session);
        }
        let (answer, answered) = oneshot::channel();
        lock(&self.waiting).insert(id, answer);
        self.outgoing.send(frame.to_string()).await.expect("Chromium is gone");
        let mut answer =
            timeout(Duration::from_secs(60), answered).await.expect("an answer of Chromium").expect("Chromium is gone");
        if answer["error"].is_null() { Ok(answer["result"].take()) } else { Err(answer["error"].take()) }
    }

    fn take(&self, text: &str) {
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return };
        if let Some(id) = frame["id"].as_u64() {
            let waiting = lock(&self.waiting).remove(&id);
            if let Some(waiting) = waiting {
                waiting.send(frame).ok();
            }
            return;
        }
        match frame["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                let details = &frame["params"]["exceptionDetails"];
                let said =
                    details["exception"]["description"].as_str().or(details["text"].as_str()).unwrap_or_default();
                lock(&self.console).push(format!("exception: {said}"));
            }
            Some("Runtime.consoleAPICalled") => {
                let kind = frame["params"]["type"].as_str().unwrap_or_default();
                lock(&self.console).push(format!("{kind}: {}", frame["params"]["args"]));
            }
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
