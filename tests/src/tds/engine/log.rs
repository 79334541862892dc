//! The redo log: one record per commit, replayed at start. A torn last record is ignored.
//!
//! Record: length and checksum (each 4 bytes), then the operations. Nothing is rewritten at a
//! commit; a process killed at any instant has exactly the commits whose records are whole.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use super::ObjectId;
use super::catalog::Catalog;
use super::table::RowId;
use crate::tds::types::{Row, Value};

#[derive(Debug)]
pub(crate) enum Op {
    Catalog(Box<Catalog>),
    Clear(ObjectId),
    Put(ObjectId, RowId, Row),
    Delete(ObjectId, RowId),
    Identity(ObjectId, i64),
}

pub(crate) struct RedoLog {
    file: File,
    length: u64,
}

impl RedoLog {
    pub(crate) fn open(path: &Path, mut replay: impl FnMut(Op)) -> io::Result<RedoLog> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut good = 0;
        {
            let mut reader = BufReader::with_capacity(1 << 20, &mut file);
            while let Some(record) = read_record(&mut reader)? {
                let mut at = Cursor { bytes: &record, at: 0 };
                let mut ops = Vec::new();
                while at.at < record.len() {
                    let Some(op) = at.op() else {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "the log holds an unknown operation",
                        ));
                    };
                    ops.push(op);
                }
                ops.into_iter().for_each(&mut replay);
                good += 8 + u64::try_from(record.len()).unwrap_or(0);
            }
        }
        file.set_len(good)?;
        file.seek(SeekFrom::Start(good))?;
        Ok(RedoLog { file, length: good })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn append(&mut self, ops: &[Op]) -> io::Result<()> {
        let mut out = vec![0; 8];
        for op in ops {
            write_op(&mut out, op)?;
        }
        let length = u32::try_from(out.len() - 8).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "a transaction of more than 4 GiB")
        })?;
        let sum = checksum(&out[8..]);
        out[..4].copy_from_slice(&length.to_le_bytes());
        out[4..8].copy_from_slice(&sum.to_le_bytes());
        if let Err(e) = self.file.write_all(&out) {
            // Half a record would hide the ones after it.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(e);
        }
        self.length += u64::try_from(out.len()).unwrap_or(0);
        Ok(())
    }
}

fn read_record(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; 8];
    if !fill(reader, &mut head)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let mut record = Vec::new();
    let wanted = u64::from(length);
    let got = reader.take(wanted).read_to_end(&mut record)?;
    if u64::try_from(got).unwrap_or(0) < wanted || checksum(&record) != sum {
        return Ok(None);
    }
    Ok(Some(record))
}

fn fill(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// Adler-like: fast enough without optimisation.
fn checksum(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u64, 0_u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        a = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from_le_bytes(word));
        b = b.rotate_left(7) ^ a;
    }
    let folded = (a ^ (a >> 32) ^ b ^ (b >> 32)).to_le_bytes();
    u32::from_le_bytes([folded[0], folded[1], folded[2], folded[3]])
}

fn write_op(out: &mut Vec<u8>, op: &Op) -> io::Result<()> {
    match op {
        Op::Catalog(c) => {
            out.push(b'C');
            let json = serde_json::to_vec(c)?;
            put_bytes(out, &json);
        }
        Op::Clear(t) => {
            out.push(b'X');
            out.extend_from_slice(&t.to_le_bytes());
        }
        Op::Put(t, id, row) => {
            out.push(b'P');
            out.extend_from_slice(&t.to_le_bytes());
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&u16::try_from(row.len()).unwrap_or(u16::MAX).to_le_bytes());
            for v in row.iter() {
                put_value(out, v);
            }
        }
        Op::Delete(t, id) => {
            out.push(b'D');
            out.extend_from_slice(&t.to_le_bytes());
            out.extend_from_slice(&id.to_le_bytes());
        }
        Op::Identity(t, n) => {
            out.push(b'I');
            out.extend_from_slice(&t.to_le_bytes());
            out.extend_from_slice(&n.to_le_bytes());
        }
    }
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Bit(b) => out.extend_from_slice(&[1, u8::from(*b)]),
        Value::Int(n) => {
            out.push(2);
            out.extend_from_slice(&n.to_le_bytes());
        }
        Value::Dec { hi, lo, scale } => {
            out.push(3);
            out.extend_from_slice(&hi.to_le_bytes());
            out.extend_from_slice(&lo.to_le_bytes());
            out.push(*scale);
        }
        Value::Real(f) => {
            out.push(4);
            out.extend_from_slice(&f.to_le_bytes());
        }
        Value::Float(f) => {
            out.push(5);
            out.extend_from_slice(&f.to_le_bytes());
        }
        Value::Date(d) => {
            out.push(6);
            out.extend_from_slice(&d.to_le_bytes());
        }
        Value::Time(t) => {
            out.push(7);
            out.extend_from_slice(&t.to_le_bytes());
        }
        Value::DateTime(d, t) => {
            out.push(8);
            out.extend_from_slice(&d.to_le_bytes());
            out.extend_from_slice(&t.to_le_bytes());
        }
        Value::Offset(d, t, o) => {
            out.push(9);
            out.extend_from_slice(&d.to_le_bytes());
            out.extend_from_slice(&t.to_le_bytes());
            out.extend_from_slice(&o.to_le_bytes());
        }
        Value::Str(s) => {
            out.push(10);
            put_bytes(out, s.as_bytes());
        }
        Value::Bin(b) => {
            out.push(11);
            put_bytes(out, b);
        }
        Value::Guid(g) => {
            out.push(12);
            out.extend_from_slice(g);
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let out = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(out)
    }

    fn blob(&mut self) -> Option<&[u8]> {
        let n = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        let out = self.bytes.get(self.at..self.at + n)?;
        self.at += n;
        Some(out)
    }

    fn op(&mut self) -> Option<Op> {
        let [tag] = self.take()?;
        Some(match tag {
            b'C' => Op::Catalog(serde_json::from_slice(self.blob()?).ok()?),
            b'X' => Op::Clear(i32::from_le_bytes(self.take()?)),
            b'P' => {
                let table = i32::from_le_bytes(self.take()?);
                let id = u32::from_le_bytes(self.take()?);
                let n = u16::from_le_bytes(self.take()?);
                let mut row = Vec::with_capacity(usize::from(n));
                for _ in 0..n {
                    row.push(self.value()?);
                }
                Op::Put(table, id, Arc::from(row))
            }
            b'D' => Op::Delete(i32::from_le_bytes(self.take()?), u32::from_le_bytes(self.take()?)),
            b'I' => {
                Op::Identity(i32::from_le_bytes(self.take()?), i64::from_le_bytes(self.take()?))
            }
            _ => return None,
        })
    }

    fn value(&mut self) -> Option<Value> {
        let [tag] = self.take()?;
        Some(match tag {
            0 => Value::Null,
            1 => Value::Bit(self.take::<1>()?[0] != 0),
            2 => Value::Int(i64::from_le_bytes(self.take()?)),
            3 => Value::Dec {
                hi: i64::from_le_bytes(self.take()?),
                lo: u64::from_le_bytes(self.take()?),
                scale: self.take::<1>()?[0],
            },
            4 => Value::Real(f32::from_le_bytes(self.take()?)),
            5 => Value::Float(f64::from_le_bytes(self.take()?)),
            6 => Value::Date(i32::from_le_bytes(self.take()?)),
            7 => Value::Time(u64::from_le_bytes(self.take()?)),
            8 => {
                Value::DateTime(i32::from_le_bytes(self.take()?), u64::from_le_bytes(self.take()?))
            }
            9 => Value::Offset(
                i32::from_le_bytes(self.take()?),
                u64::from_le_bytes(self.take()?),
                i16::from_le_bytes(self.take()?),
            ),
            10 => Value::Str(Arc::from(std::str::from_utf8(self.blob()?).ok()?)),
            11 => Value::Bin(Arc::from(self.blob()?)),
            12 => Value::Guid(self.take()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_record_is_ignored_and_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let row: Row =
            Arc::from(vec![Value::Int(7), Value::str("é"), Value::dec(-5, 2), Value::Null]);
        let mut log = RedoLog::open(&path, |_| {}).unwrap();
        log.append(&[Op::Put(1, 0, row.clone())]).unwrap();
        log.append(&[Op::Put(1, 1, row.clone()), Op::Delete(1, 0)]).unwrap();
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut seen = 0;
            let mut log = RedoLog::open(&path, |_| seen += 1).unwrap();
            assert!(seen == 0 || seen == 1, "{seen} operations from {cut} bytes");
            log.append(&[Op::Delete(1, 9)]).unwrap();
            drop(log);
            let mut last = None;
            RedoLog::open(&path, |op| last = Some(op)).unwrap();
            assert!(matches!(last, Some(Op::Delete(1, 9))));
        }
        std::fs::write(&path, &whole).unwrap();
        let mut ops = Vec::new();
        RedoLog::open(&path, |op| ops.push(op)).unwrap();
        assert_eq!(ops.len(), 3);
        assert!(matches!(&ops[0], Op::Put(1, 0, r) if *r == row));
    }
}
