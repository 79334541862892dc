//! A stream that wraps the TLS handshake into PRELOGIN packets, and is transparent afterwards.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::packet::{HEADER, PRELOGIN};

#[derive(Debug)]
pub(crate) struct HandshakeStream<S> {
    inner: S,
    wrapping: bool,
    header: [u8; HEADER],
    header_read: usize,
    body_left: usize,
    out: Vec<u8>,
    sent: usize,
}

impl<S> HandshakeStream<S> {
    pub(crate) fn new(inner: S) -> HandshakeStream<S> {
        HandshakeStream {
            inner,
            wrapping: true,
            header: [0; HEADER],
            header_read: 0,
            body_left: 0,
            out: Vec::new(),
            sent: 0,
        }
    }

    /// The handshake is over: bytes pass as they are.
    pub(crate) fn finish(&mut self) {
        self.wrapping = false;
    }

    pub(crate) fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HandshakeStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.wrapping {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        while this.body_left == 0 {
            let mut part = ReadBuf::new(&mut this.header[this.header_read..]);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
            let n = part.filled().len();
            if n == 0 {
                return Poll::Ready(Ok(()));
            }
            this.header_read += n;
            if this.header_read == HEADER {
                this.header_read = 0;
                let length = usize::from(u16::from_be_bytes([this.header[2], this.header[3]]));
                if this.header[0] != PRELOGIN || length < HEADER {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                this.body_left = length - HEADER;
            }
        }
        let room = buf.remaining().min(this.body_left);
        let mut part = vec![0; room];
        let mut piece = ReadBuf::new(&mut part);
        ready!(Pin::new(&mut this.inner).poll_read(cx, &mut piece))?;
        let got = piece.filled();
        this.body_left -= got.len();
        buf.put_slice(got);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> HandshakeStream<S> {
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HandshakeStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if !this.wrapping {
            ready!(this.send(cx))?;
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        if this.sent > 0 {
            ready!(this.send(cx))?;
        }
        if this.out.is_empty() {
            this.out.extend_from_slice(&[PRELOGIN, 1, 0, 0, 0, 0, 0, 0]);
        }
        let room = 4096_usize.saturating_sub(this.out.len());
        let n = buf.len().min(room);
        this.out.extend_from_slice(&buf[..n]);
        let length = u16::try_from(this.out.len()).unwrap_or(u16::MAX).to_be_bytes();
        this.out[2..4].copy_from_slice(&length);
        if n == 0 {
            ready!(this.send(cx))?;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.send(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.send(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
