//! Between a WebSocket and the network: a large frame goes out from where all who are sent it share it.
//!
//! The WebSocket above copies what it sends into a buffer of its own, which grows and is kept. With 1 000 of them
//! that were sent documents of 64 KiB half of the time of the first second went into memory for those buffers.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, buf::Chain};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_write_buf;

/// A stream below a WebSocket, of a server, whose frames are not masked.
#[derive(Debug)]
pub(super) struct Sharing<S> {
    io: S,
    /// What goes out before anything else that is written or flushed: the head of a frame, and its text.
    frame: Option<Chain<Bytes, Bytes>>,
}

impl<S> Sharing<S> {
    pub(super) fn new(io: S) -> Self {
        Self { io, frame: None }
    }

    /// Whether a shared frame is on its way.
    pub(super) fn is_sending(&self) -> bool {
        self.frame.is_some()
    }

    /// Sends a text with the next flush, before all that is written from now on; not while another is on its way, and
    /// says so. Everything before it must have been flushed: the WebSocket above holds no part of a frame then.
    pub(super) fn put(&mut self, text: Bytes) -> bool {
        let free = !self.is_sending();
        if free {
            self.frame = Some(head(text.len()).chain(text));
        }
        free
    }
}

impl<S: AsyncWrite + Unpin> Sharing<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(frame) = &mut self.frame {
            if !frame.has_remaining() {
                self.frame = None;
            } else if ready!(poll_write_buf(Pin::new(&mut self.io), cx, frame))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What stands before an unmasked text message of one frame (RFC 6455 §5.2).
fn head(length: usize) -> Bytes {
    const LAST_TEXT: u8 = 0x81;
    let mut head = vec![LAST_TEXT];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => head.push(length),
        (_, Ok(length)) => {
            head.push(126);
            head.extend(length.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    head.into()
}

impl<S: AsyncRead + Unpin> AsyncRead for Sharing<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sharing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_frame(cx))?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_frame(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_frame(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _, poll};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{Message, protocol::Role},
    };

    use super::*;

    #[tokio::test]
    async fn a_client_reads_texts_of_every_length_in_their_order() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000];
        let (here, there) = duplex(1_000);
        let mut server = WebSocketStream::from_raw_socket(Sharing::new(here), Role::Server, None).await;
        let mut client = WebSocketStream::from_raw_socket(there, Role::Client, None).await;
        let sending = tokio::spawn(async move {
            for length in lengths {
                server.feed(Message::text(format!("before {length}"))).await.unwrap();
                server.flush().await.unwrap();
                assert!(server.get_mut().put("x".repeat(length).into()));
                assert!(!server.get_mut().put("another".into()));
                // It is not through, and there is more to say.
                server.feed(Message::text(format!("after {length}"))).await.unwrap();
            }
            server.close(None).await.unwrap();
        });
        for length in lengths {
            for text in [format!("before {length}"), "x".repeat(length), format!("after {length}")] {
                assert_eq!(client.next().await.unwrap().unwrap(), Message::text(text));
            }
        }
        assert!(client.next().await.unwrap().unwrap().is_close());
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn a_flush_that_is_dropped_loses_and_repeats_nothing() {
        let (here, mut there) = duplex(16);
        let mut sharing = Sharing::new(here);
        let text: String = ('a'..='z').cycle().take(1_000).collect();
        assert!(sharing.put(text.clone().into()));
        let mut read = Vec::new();
        while sharing.is_sending() {
            let _ = poll!(std::pin::pin!(sharing.flush()));
            let mut some = [0; 7];
            let length = there.read(&mut some).await.unwrap();
            read.extend_from_slice(&some[..length]);
        }
        drop(sharing);
        there.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, [&[0x81, 126, 0x03, 0xe8], text.as_bytes()].concat());
    }

    /// The WebSocket answers pings while it reads, whatever is on its way.
    #[tokio::test]
    async fn what_the_websocket_says_itself_comes_behind_the_frame_that_is_on_its_way() {
        let (here, there) = duplex(100);
        let mut server = WebSocketStream::from_raw_socket(Sharing::new(here), Role::Server, None).await;
        let mut client = WebSocketStream::from_raw_socket(there, Role::Client, None).await;
        assert!(server.get_mut().put("x".repeat(1_000).into()));
        assert!(poll!(server.flush()).is_pending());
        client.send(Message::Ping("here".into())).await.unwrap();
        assert_eq!(server.next().await.unwrap().unwrap(), Message::Ping("here".into()));
        assert!(poll!(server.next()).is_pending(), "it tries to answer");
        assert!(server.get_ref().is_sending());
        let (said, heard) = tokio::join!(server.send(Message::text("last")), async {
            [
                client.next().await.unwrap().unwrap(),
                client.next().await.unwrap().unwrap(),
                client.next().await.unwrap().unwrap(),
            ]
        });
        said.unwrap();
        assert_eq!(heard, [Message::text("x".repeat(1_000)), Message::Pong("here".into()), Message::text("last")]);
    }

    #[tokio::test]
    async fn what_is_sent_is_not_kept() {
        let (here, _there) = duplex(1_000);
        let mut sharing = Sharing::new(here);
        let text = Bytes::from("x".repeat(100));
        assert!(sharing.put(text.clone()));
        assert!(!text.is_unique());
        sharing.flush().await.unwrap();
        assert!(text.is_unique() && !sharing.is_sending());
    }
}
