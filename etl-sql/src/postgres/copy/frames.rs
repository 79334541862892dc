//! Rows found in a stream of bytes.

use std::ops::Range;

use etl_core::error::{Error, Result};

const BEHIND: &str = "bytes behind its end mark";
/// A row that was larger is nothing to keep room for.
const KEPT_BYTES: usize = 1 << 20;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Finds the rows of a binary COPY in bytes that arrive in pieces of any size.
#[derive(Debug)]
pub struct Frames {
    columns: usize,
    buffer: Vec<u8>,
    /// What of `buffer` has been given out.
    used: usize,
    fields: Vec<Option<Range<usize>>>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

/// One row: a field's bytes, or `None` for NULL.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    fields: &'a [Option<Range<usize>>],
}

impl<'a> Frame<'a> {
    /// The bytes of a field; `None` for NULL, and for a field that there is not.
    #[must_use]
    pub fn field(&self, index: usize) -> Option<&'a [u8]> {
        self.bytes.get(self.fields.get(index)?.clone()?)
    }

    /// The bytes of all fields together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.fields.iter().flatten().map(ExactSizeIterator::len).sum()
    }
}

impl Frames {
    /// For rows of `columns` fields.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            buffer: Vec::new(),
            used: 0,
            fields: Vec::with_capacity(columns),
            state: State::Header,
        }
    }

    /// Takes what has arrived. Call [`Frames::next`] until it is `None` before the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.used);
        self.used = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(piece);
    }

    /// The next row that has arrived as a whole.
    ///
    /// # Errors
    /// `Transient` for bytes that are not the format; what sent them is not the server.
    #[expect(clippy::should_implement_trait, reason = "lends from itself, as no iterator can")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>> {
        if self.state == State::Header && !self.header()? {
            return Ok(None);
        }
        Ok(self.row()?.then_some(Frame { bytes: &self.buffer, fields: &self.fields }))
    }

    /// Says whether all has arrived: the format's own end, and nothing behind it.
    ///
    /// # Errors
    /// `Transient` if the rows were cut short.
    pub fn finish(&self) -> Result<()> {
        match self.state {
            State::Ended if self.used == self.buffer.len() => return Ok(()),
            State::Ended => return Err(garbled(BEHIND)),
            State::Header | State::Rows => {}
        }
        Err(Error::transient("the rows ended before the server's end mark: they are incomplete"))
    }

    fn header(&mut self) -> Result<bool> {
        let Some(header) = self.buffer.get(..SIGNATURE.len() + 8) else {
            return Ok(false);
        };
        let flags = int4(header, SIGNATURE.len()).unwrap_or(-1);
        if !header.starts_with(SIGNATURE) || flags != 0 {
            return Err(garbled("its header"));
        }
        let extension = int4(header, SIGNATURE.len() + 4).and_then(|n| usize::try_from(n).ok());
        let extension = extension.ok_or_else(|| garbled("its header"))?;
        let end = header.len() + extension;
        if self.buffer.len() < end {
            return Ok(false);
        }
        self.used = end;
        self.state = State::Rows;
        Ok(true)
    }

    fn row(&mut self) -> Result<bool> {
        let bytes = self.buffer.as_slice();
        let Some(count) = bytes.get(self.used..).and_then(|rest| rest.first_chunk::<2>()) else {
            return Ok(false);
        };
        if self.state == State::Ended {
            return Err(garbled(BEHIND));
        }
        let count = i16::from_be_bytes(*count);
        let mut at = self.used + 2;
        if count == -1 {
            self.used = at;
            self.state = State::Ended;
            return Ok(false);
        }
        if usize::try_from(count).ok() != Some(self.columns) {
            return Err(garbled("a row with another number of fields"));
        }
        self.fields.clear();
        for _ in 0..self.columns {
            let Some(length) = int4(bytes, at) else {
                return Ok(false);
            };
            at += 4;
            if length == -1 {
                self.fields.push(None);
                continue;
            }
            let length = usize::try_from(length).map_err(|_| garbled("a negative length"))?;
            self.fields.push(Some(at..at + length));
            at += length;
        }
        if bytes.len() < at {
            return Ok(false);
        }
        self.used = at;
        Ok(true)
    }
}

fn int4(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|chunk| i32::from_be_bytes(*chunk))
}

fn garbled(what: &str) -> Error {
    Error::transient(format!("the server's binary COPY is garbled: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 3, 9, 9, 9]);
        for text in ["one", "", "three"] {
            bytes.extend([0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
        bytes.extend([0xff, 0xff]);
        bytes
    }

    fn texts(pieces: &[&[u8]]) -> Result<Vec<String>> {
        let mut frames = Frames::new(2);
        let mut texts = Vec::new();
        for piece in pieces {
            frames.feed(piece);
            while let Some(frame) = frames.next()? {
                assert!(frame.field(0).is_none());
                texts.push(String::from_utf8(frame.field(1).unwrap().to_vec()).unwrap());
            }
        }
        frames.finish().map(|()| texts)
    }

    #[test]
    fn rows_are_found_wherever_the_bytes_are_cut() {
        let bytes = sample();
        for size in 1..=bytes.len() {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            assert_eq!(texts(&pieces).unwrap(), ["one", "", "three"], "pieces of {size}");
        }
    }

    #[test]
    fn every_prefix_is_incomplete() {
        let bytes = sample();
        for end in 0..bytes.len() {
            let error = texts(&[&bytes[..end]]).unwrap_err();
            assert_eq!(error.class(), etl_core::Class::Transient, "first {end} bytes");
        }
    }

    #[test]
    fn what_is_not_the_format_is_an_error() {
        let mut header = sample();
        header[3] = b'X';
        let mut flags = sample();
        flags[11] = 1;
        let mut count = sample();
        count[23] = 3;
        let mut length = sample();
        length[28] = 0xfe;
        let mut behind = sample();
        behind.extend([0, 2]);
        for (what, bytes) in [
            ("header", header),
            ("flags", flags),
            ("count", count),
            ("length", length),
            ("behind", behind),
        ] {
            assert!(texts(&[&bytes]).is_err(), "{what}");
        }
    }
}
