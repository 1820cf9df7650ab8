//! A WebSocket of bare bytes: it reads only when asked, answers pings only while it reads, and sends what no client would.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A frame goes on in the next one.
pub const CONTINUATION: u8 = 0;
/// A frame of text.
pub const TEXT: u8 = 1;
/// The frame that ends a socket.
pub const CLOSE: u8 = 8;
/// A frame that asks for a pong.
pub const PING: u8 = 9;
/// The answer to a ping.
pub const PONG: u8 = 10;

/// What is the last of a frame's message.
const FINAL: u8 = 0x80;
/// How much is asked of the kernel at once.
const STEP: usize = 4 * 1024;

/// What a socket hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole message.
    Text(String),
    /// A close frame, with its code.
    Closed(Option<u16>),
    /// The connection is over, without a close frame.
    Lost,
}

/// An open WebSocket. It holds 4 KiB while it is idle.
#[derive(Debug)]
pub struct Bare {
    stream: TcpStream,
    arrived: BytesMut,
}

impl Bare {
    /// Opens `path` of the server at `base`.
    ///
    /// # Errors
    ///
    /// The server could not be reached, or refused the upgrade.
    pub async fn open(base: &str, path: &str) -> std::io::Result<Self> {
        let address: SocketAddr = base.trim_start_matches("http://").parse().expect("the address of a server here");
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut arrived = BytesMut::with_capacity(1024);
        let end = loop {
            if let Some(end) = arrived.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut arrived).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head = arrived.split_to(end);
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(std::io::Error::other(String::from_utf8_lossy(&head).into_owned()));
        }
        Ok(Self { stream, arrived })
    }

    /// The port of this end.
    ///
    /// # Panics
    ///
    /// If the socket has none any more.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.stream.local_addr().expect("a socket").port()
    }

    /// Sends a whole message of text.
    ///
    /// # Errors
    ///
    /// The connection is over.
    pub async fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.send(&frame(true, TEXT, text.as_bytes())).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// The connection is over.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message, or how it ended. Waits as long as it takes; pings are answered meanwhile. Dropping the future
    /// loses nothing.
    pub async fn hear(&mut self) -> Heard {
        loop {
            while let Some((opcode, payload)) = self.take() {
                match opcode {
                    TEXT => return Heard::Text(String::from_utf8_lossy(&payload).into_owned()),
                    CLOSE => {
                        let code = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                        self.send(&frame(true, CLOSE, &payload)).await.ok();
                        return Heard::Closed(code);
                    }
                    PING => {
                        self.send(&frame(true, PONG, &payload)).await.ok();
                    }
                    _ => {}
                }
            }
            self.arrived.reserve(STEP);
            match self.stream.read_buf(&mut self.arrived).await {
                Ok(length) if length > 0 => {}
                _ => return Heard::Lost,
            }
        }
    }

    /// The next message whose `type` is `kind`.
    ///
    /// # Errors
    ///
    /// How it ended instead.
    pub async fn hear_of(&mut self, kind: &str) -> Result<String, Heard> {
        let begin = format!("{{\"type\":\"{kind}\"");
        loop {
            match self.hear().await {
                Heard::Text(text) if text.starts_with(&begin) => return Ok(text),
                Heard::Text(_) => {}
                end => return Err(end),
            }
        }
    }

    /// What was said before the end, and the end. Panics if there is none in `limit`.
    pub async fn rest(&mut self, limit: Duration, what: &str) -> (Vec<String>, Heard) {
        let mut said = Vec::new();
        let end = async {
            loop {
                match self.hear().await {
                    Heard::Text(text) => said.push(text),
                    end => return end,
                }
            }
        };
        let end = timeout(limit, end).await.unwrap_or_else(|_| panic!("still open after {what}"));
        (said, end)
    }

    /// A frame of the server's, which are not masked.
    fn take(&mut self) -> Option<(u8, BytesMut)> {
        let (first, second) = (*self.arrived.first()?, *self.arrived.get(1)?);
        let (length, head) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(self.arrived.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(self.arrived.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let length = usize::try_from(length).expect("a frame that fits");
        if self.arrived.len() < head + length {
            return None;
        }
        self.arrived.advance(head);
        Some((first & 0x0f, self.arrived.split_to(length)))
    }
}

/// A client's frame, masked with zeros.
#[must_use]
pub fn frame(is_final: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![if is_final { FINAL | opcode } else { opcode }];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | u8::try_from(short).expect("less than 126")),
        middle @ 126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(middle).expect("less than 65 536").to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(long).expect("a length").to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The member `cursor` of a frame, as text.
#[must_use]
pub fn cursor(frame: &str) -> Option<&str> {
    let (_, rest) = frame.split_once("\"cursor\":\"")?;
    rest.split_once('"').map(|(cursor, _)| cursor)
}
