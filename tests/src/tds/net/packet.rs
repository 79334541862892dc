//! Packets: eight bytes of header, then the message in pieces (MS-TDS 2.2.3).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

pub(crate) const BATCH: u8 = 1;
pub(crate) const RPC: u8 = 3;
pub(crate) const RESPONSE: u8 = 4;
pub(crate) const ATTENTION: u8 = 6;
pub(crate) const BULK: u8 = 7;
pub(crate) const TRANSACTION: u8 = 14;
pub(crate) const LOGIN7: u8 = 16;
pub(crate) const PRELOGIN: u8 = 18;

pub(crate) const HEADER: usize = 8;

/// One packet of a client.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) kind: u8,
    pub(crate) last: bool,
    /// The client gave the message up before it was whole.
    pub(crate) ignore: bool,
    pub(crate) payload: Vec<u8>,
}

/// Reads a packet; `None` at a clean end.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Packet>> {
    let mut header = [0; HEADER];
    let mut got = 0;
    while got < HEADER {
        match stream.read(&mut header[got..]).await? {
            0 if got == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => got += n,
        }
    }
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let body = length.checked_sub(HEADER).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "a packet shorter than its header")
    })?;
    let mut payload = vec![0; body];
    stream.read_exact(&mut payload).await?;
    Ok(Some(Packet {
        kind: header[0],
        last: header[1] & 1 != 0,
        ignore: header[1] & 2 != 0,
        payload,
    }))
}

/// Cuts a message into packets of a size.
pub(crate) fn frames(kind: u8, message: &[u8], size: usize, spid: i32) -> Vec<Vec<u8>> {
    let room = size - HEADER;
    let pieces: Vec<&[u8]> =
        if message.is_empty() { vec![message] } else { message.chunks(room).collect() };
    let count = pieces.len();
    let spid = u16::try_from(spid).unwrap_or(0).to_be_bytes();
    pieces
        .into_iter()
        .enumerate()
        .map(|(i, piece)| {
            let mut out = Vec::with_capacity(piece.len() + HEADER);
            out.push(kind);
            out.push(u8::from(i + 1 == count));
            out.extend_from_slice(
                &u16::try_from(piece.len() + HEADER).unwrap_or(u16::MAX).to_be_bytes(),
            );
            out.extend_from_slice(&spid);
            out.push(u8::try_from((i + 1) % 256).unwrap_or(0));
            out.push(0);
            out.extend_from_slice(piece);
            out
        })
        .collect()
}
