//! A socket, and the documents as its frames tell of them.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::timeout;
use universal_tests::{
    bare::{Bare, Heard},
    client::Client,
};

/// How long a frame may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// What holds a list up to date by a socket alone.
pub(super) struct Eye {
    socket: Option<Bare>,
    collection: String,
    /// Of a watch: its filter. Others subscribe, and hear of all that they may see.
    watches: Option<&'static str>,
    pub(super) documents: BTreeMap<String, Value>,
    place: Option<(String, Option<String>)>,
    basis: Option<String>,
    /// How often the documents came whole.
    pub(super) snapshots: usize,
    /// Documents that frames have shown, since they were last taken.
    pub(super) shown: Vec<Value>,
}

impl Eye {
    pub(super) fn new(collection: &str, watches: Option<&'static str>) -> Self {
        Self {
            socket: None,
            collection: collection.to_owned(),
            watches,
            documents: BTreeMap::new(),
            place: None,
            basis: None,
            snapshots: 0,
            shown: Vec::new(),
        }
    }

    /// The filter, if it watches.
    pub(super) fn watches(&self) -> Option<&'static str> {
        self.watches
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    pub(super) fn leave(&mut self) {
        self.socket = None;
    }

    /// Opens the socket anew, and goes on where it was.
    pub(super) async fn come(&mut self, client: &Client) -> Result<(), String> {
        let mut socket = Bare::open(client.base(), "/realtime").await.map_err(|error| error.to_string())?;
        let mut wanted = json!({ "type": "subscribe", "ref": "1", "collection": self.collection });
        if let Some(filter) = self.watches {
            wanted["type"] = json!("watch");
            if !filter.is_empty() {
                wanted["filter"] = json!(filter);
            }
        }
        if let Some((cursor, basis)) = &self.place {
            wanted["since"] = json!(cursor);
            if let Some(basis) = basis {
                wanted["basis"] = json!(basis);
            }
        }
        let auth = json!({ "type": "auth", "token": client.token() });
        for frame in [auth, wanted] {
            socket.say(&frame.to_string()).await.map_err(|error| error.to_string())?;
        }
        self.socket = Some(socket);
        loop {
            if self.hear().await? == "subscribed" {
                return Ok(());
            }
        }
    }

    /// Newer credentials of the same user; when this is back, the server goes by them.
    pub(super) async fn renew(&mut self, client: &Client) -> Result<(), String> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        for frame in [json!({ "type": "auth", "token": client.token() }), json!({ "type": "ping" })] {
            socket.say(&frame.to_string()).await.map_err(|error| error.to_string())?;
        }
        loop {
            if self.hear().await? == "pong" {
                return Ok(());
            }
        }
    }

    /// Takes one frame and does what it says; answers its type.
    pub(super) async fn hear(&mut self) -> Result<String, String> {
        let Some(socket) = &mut self.socket else { return Err("it is not open".to_owned()) };
        let heard = timeout(PATIENCE, socket.hear()).await;
        let heard = heard.map_err(|_| format!("no frame came; it holds {:?}", self.documents))?;
        let Heard::Text(text) = heard else { return Err(format!("the socket ended: {heard:?}")) };
        let frame: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "subscribed" => self.begin(&frame)?,
            "snapshot" => self.take_all(&frame),
            "change" => self.take(&frame)?,
            "heartbeat" | "pong" => {}
            _ => return Err(format!("nobody expected {frame}")),
        }
        Ok(kind)
    }

    fn begin(&mut self, frame: &Value) -> Result<(), String> {
        let basis = frame["basis"].as_str().map(str::to_owned);
        if self.place.is_none() && self.watches.is_none() {
            self.place = Some((text(&frame["cursor"]), None));
        } else if self.watches.is_none() && frame["recovered"] != true {
            return Err(format!("it could not go on: {frame}"));
        }
        self.basis = basis;
        Ok(())
    }

    fn take_all(&mut self, frame: &Value) {
        if frame["first"] == true {
            self.documents.clear();
            self.place = None;
        }
        for document in frame["documents"].as_array().into_iter().flatten() {
            self.documents.insert(text(&document["id"]), document.clone());
            self.shown.push(document.clone());
        }
        self.basis = frame["basis"].as_str().map(str::to_owned);
        if frame["last"] == true {
            self.snapshots += 1;
            self.place = Some((text(&frame["cursor"]), self.basis.clone()));
        }
    }

    fn take(&mut self, frame: &Value) -> Result<(), String> {
        let id = text(&frame["id"]);
        let document = frame.get("document");
        match (frame["op"].as_str().unwrap_or_default(), document, self.watches) {
            ("create", Some(document), None) | ("enter", Some(document), Some(_)) | ("update", Some(document), _) => {
                self.shown.push(document.clone());
                self.documents.insert(id, document.clone());
            }
            ("leave", None, _) | ("delete", None, None) => {
                self.documents.remove(&id);
            }
            _ => return Err(format!("that is no change: {frame}")),
        }
        if let Some((cursor, _)) = &mut self.place {
            *cursor = text(&frame["cursor"]);
        }
        Ok(())
    }

    /// Hears on until it holds the mark `number`.
    pub(super) async fn catch_up(&mut self, number: u64) -> Result<(), String> {
        while self.documents.get("mark").is_none_or(|mark| mark["mark"] != number) {
            self.hear().await?;
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
