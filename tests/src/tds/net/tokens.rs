//! The token stream of an answer (MS-TDS 2.2.7).

use super::wire::{put_type, put_value};
use crate::tds::bind::{Label, OutCol};
use crate::tds::error::SqlError;
use crate::tds::types::{Coll, Row};

pub(crate) const DONE: u8 = 0xfd;
pub(crate) const DONE_PROC: u8 = 0xfe;
pub(crate) const DONE_IN_PROC: u8 = 0xff;

const MORE: u16 = 0x01;
const ERROR: u16 = 0x02;
const COUNT: u16 = 0x10;
const ATTENTION: u16 = 0x20;
const SERVER_ERROR: u16 = 0x100;

/// Commands as DONE names them.
pub(crate) const SELECT: u16 = 0xc1;
pub(crate) const INSERT: u16 = 0xc3;
pub(crate) const DELETE: u16 = 0xc4;
pub(crate) const UPDATE: u16 = 0xc5;

struct Pending {
    token: u8,
    status: u16,
    command: u16,
    rows: u64,
}

/// Writes tokens; the last DONE waits until it is known whether more follows.
pub(crate) struct Tokens {
    pub(crate) buf: Vec<u8>,
    pending: Option<Pending>,
    failed: bool,
    /// Inside a procedure call every statement ends with DONEINPROC.
    pub(crate) in_procedure: bool,
    collation: Coll,
}

impl Tokens {
    pub(crate) fn new(collation: Coll) -> Tokens {
        Tokens { buf: Vec::new(), pending: None, failed: false, in_procedure: false, collation }
    }

    fn flush_pending(&mut self, more: bool) {
        if let Some(p) = self.pending.take() {
            self.buf.push(p.token);
            let status = if more { p.status | MORE } else { p.status };
            self.buf.extend_from_slice(&status.to_le_bytes());
            self.buf.extend_from_slice(&p.command.to_le_bytes());
            self.buf.extend_from_slice(&p.rows.to_le_bytes());
        }
    }

    /// Ends a statement.
    pub(crate) fn done(&mut self, command: u16, rows: Option<i64>) {
        self.flush_pending(true);
        let token = if self.in_procedure { DONE_IN_PROC } else { DONE };
        self.push_done(token, command, rows);
    }

    fn push_done(&mut self, token: u8, command: u16, rows: Option<i64>) {
        let mut status = 0;
        if std::mem::take(&mut self.failed) {
            status |= ERROR;
        }
        let rows = match rows {
            Some(n) => {
                status |= COUNT;
                u64::try_from(n).unwrap_or(0)
            }
            None => 0,
        };
        self.pending = Some(Pending { token, status, command, rows });
    }

    /// Marks the last DONE written as followed by another.
    fn reopen(&mut self) {
        const DONE_LENGTH: usize = 13;
        if let Some(at) = self.buf.len().checked_sub(DONE_LENGTH)
            && matches!(self.buf[at], DONE | DONE_PROC)
        {
            self.buf[at + 1] |= 1;
        }
    }

    /// Ends the answer of a batch.
    pub(crate) fn finish_batch(&mut self) {
        if self.pending.is_none() || self.failed {
            self.flush_pending(true);
            self.push_done(DONE, 0xfd, None);
        }
        self.flush_pending(false);
    }

    /// Ends the answer of a procedure call.
    pub(crate) fn finish_call(&mut self, status: i32) {
        self.flush_pending(true);
        self.buf.push(0x79);
        self.buf.extend_from_slice(&status.to_le_bytes());
        self.push_done(DONE_PROC, 0xe0, None);
        self.flush_pending(false);
    }

    /// Acknowledges an Attention.
    pub(crate) fn attention(&mut self) {
        self.flush_pending(true);
        self.reopen();
        self.pending = Some(Pending { token: DONE, status: ATTENTION, command: 0, rows: 0 });
        self.flush_pending(false);
    }

    pub(crate) fn error(&mut self, e: &SqlError) {
        self.message(0xaa, e);
        self.failed = true;
        if e.class >= 20 {
            self.push_done(DONE, 0xfd, None);
            if let Some(p) = &mut self.pending {
                p.status |= ERROR | SERVER_ERROR;
            }
        }
    }

    pub(crate) fn info(&mut self, e: &SqlError) {
        self.message(0xab, e);
    }

    fn message(&mut self, token: u8, e: &SqlError) {
        self.flush_pending(true);
        let mut body = Vec::new();
        body.extend_from_slice(&e.number.to_le_bytes());
        body.push(e.state);
        body.push(e.class);
        let units: Vec<u16> = e.message.encode_utf16().take(8000).collect();
        body.extend_from_slice(&u16::try_from(units.len()).unwrap_or(0).to_le_bytes());
        body.extend(units.iter().flat_map(|u| u.to_le_bytes()));
        b_varchar(&mut body, "TDSDOUBLE");
        b_varchar(&mut body, &e.procedure);
        body.extend_from_slice(&e.line.max(1).to_le_bytes());
        self.token(token, &body);
    }

    fn token(&mut self, token: u8, body: &[u8]) {
        self.buf.push(token);
        self.buf.extend_from_slice(&u16::try_from(body.len()).unwrap_or(u16::MAX).to_le_bytes());
        self.buf.extend_from_slice(body);
    }

    fn env_change(&mut self, kind: u8, new: &[u8], old: &[u8]) {
        self.flush_pending(true);
        let mut body = vec![kind];
        body.extend_from_slice(new);
        body.extend_from_slice(old);
        self.token(0xe3, &body);
    }

    fn env_text(&mut self, kind: u8, new: &str, old: &str) {
        let (mut n, mut o) = (Vec::new(), Vec::new());
        b_varchar(&mut n, new);
        b_varchar(&mut o, old);
        self.env_change(kind, &n, &o);
    }

    pub(crate) fn database(&mut self, new: &str, old: &str) {
        self.env_text(1, new, old);
    }

    pub(crate) fn packet_size(&mut self, new: usize, old: usize) {
        self.env_text(4, &new.to_string(), &old.to_string());
    }

    pub(crate) fn collation(&mut self, new: Coll) {
        let mut body = vec![5];
        body.extend_from_slice(&new.wire());
        self.env_change(7, &body, &[0]);
    }

    pub(crate) fn began(&mut self, descriptor: u64) {
        let mut body = vec![8];
        body.extend_from_slice(&descriptor.to_le_bytes());
        self.env_change(8, &body, &[0]);
    }

    /// The transaction was committed (9) or rolled back (10).
    pub(crate) fn ended(&mut self, descriptor: u64, committed: bool) {
        let mut old = vec![8];
        old.extend_from_slice(&descriptor.to_le_bytes());
        self.env_change(if committed { 9 } else { 10 }, &[0], &old);
    }

    pub(crate) fn login_ack(&mut self) {
        let mut body = vec![1];
        body.extend_from_slice(&0x7400_0004_u32.to_be_bytes());
        b_varchar(&mut body, "Microsoft SQL Server");
        body.extend_from_slice(&[15, 0, 0x11, 0x4e]);
        self.token(0xad, &body);
    }

    /// The columns of a result set.
    pub(crate) fn columns(&mut self, columns: &[OutCol]) {
        self.flush_pending(true);
        self.buf.push(0x81);
        self.buf.extend_from_slice(&u16::try_from(columns.len()).unwrap_or(u16::MAX).to_le_bytes());
        for c in columns {
            self.buf.extend_from_slice(&0_u32.to_le_bytes());
            let mut flags: u16 = u16::from(c.nullable);
            let coll = match c.label {
                Label::None => None,
                label => label.coll(),
            };
            if coll.is_some_and(Coll::is_case_sensitive) {
                flags |= 0x02;
            }
            if c.identity {
                flags |= 0x10;
            } else if c.computed {
                flags |= 0x20;
            } else {
                // Updatability unknown, as the server says of table columns.
                flags |= 0x08;
            }
            self.buf.extend_from_slice(&flags.to_le_bytes());
            put_type(&mut self.buf, c.ty, c.nullable, coll, self.collation);
            b_varchar(&mut self.buf, &c.name);
        }
    }

    pub(crate) fn row(&mut self, row: &Row, columns: &[OutCol]) {
        self.buf.push(0xd1);
        for (v, c) in row.iter().zip(columns) {
            put_value(&mut self.buf, v, c.ty, c.nullable, self.collation);
        }
    }
}

pub(crate) fn b_varchar(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(255).collect();
    out.push(u8::try_from(units.len()).unwrap_or(0));
    out.extend(units.iter().flat_map(|u| u.to_le_bytes()));
}
