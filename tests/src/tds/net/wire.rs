//! TYPE_INFO and values on the wire (MS-TDS 2.2.5.4 to 2.2.5.6).

use super::reader::{Reader, malformed, utf16};
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::types::datetime::{self, DAYS_1900, SECOND};
use crate::tds::types::{Coll, Len, SqlType, Value, codepage, convert, decimal};

/// A type as a client announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) token: u8,
    /// Declared length in bytes; 0xffff for `max`.
    pub(crate) length: u32,
    pub(crate) precision: u8,
    pub(crate) scale: u8,
}

const PLP: u32 = 0xffff;

impl Wire {
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Wire> {
        let token = r.u8()?;
        let mut w = Wire { token, length: 0, precision: 0, scale: 0 };
        match token {
            // SQL Server takes a NULL without a type as a parameter; other servers do not.
            0x1f => {
                let text = "RPC protocol stream is incorrect: data type 0x1F is unknown";
                return Err(SqlError::new(8009, 16, text).reach(Reach::Connection));
            }
            0x28 | 0x30 | 0x32 | 0x34 | 0x38 | 0x3a | 0x3b | 0x3c | 0x3d | 0x3e | 0x7a | 0x7f => {}
            0x24 | 0x26 | 0x68 | 0x6d | 0x6e | 0x6f => w.length = u32::from(r.u8()?),
            0x29..=0x2b => w.scale = r.u8()?,
            0x6a | 0x6c => {
                w.length = u32::from(r.u8()?);
                w.precision = r.u8()?;
                w.scale = r.u8()?;
            }
            0xa5 | 0xad => w.length = u32::from(r.u16()?),
            0xa7 | 0xaf | 0xe7 | 0xef => {
                w.length = u32::from(r.u16()?);
                r.take(5)?;
            }
            0x62 | 0x22 => w.length = r.u32()?,
            0x23 | 0x63 => {
                w.length = r.u32()?;
                r.take(5)?;
            }
            other => {
                return Err(unsupported(format!("TDS type {other:#04x}")).reach(Reach::Connection));
            }
        }
        Ok(w)
    }

    /// The SQL type it carries.
    pub(crate) fn sql_type(self) -> Result<SqlType> {
        let n = |divisor: u32| u16::try_from(self.length / divisor).unwrap_or(0).max(1);
        let len = |divisor: u32| if self.length == PLP { Len::Max } else { Len::N(n(divisor)) };
        Ok(match self.token {
            0x30 => SqlType::TinyInt,
            0x32 | 0x68 => SqlType::Bit,
            0x34 => SqlType::SmallInt,
            0x38 => SqlType::Int,
            0x7f => SqlType::BigInt,
            0x26 => match self.length {
                1 => SqlType::TinyInt,
                2 => SqlType::SmallInt,
                4 => SqlType::Int,
                _ => SqlType::BigInt,
            },
            0x3b => SqlType::Real,
            0x3e => SqlType::Float,
            0x6d if self.length == 4 => SqlType::Real,
            0x6d => SqlType::Float,
            0x3c => SqlType::Money,
            0x7a => SqlType::SmallMoney,
            0x6e if self.length == 4 => SqlType::SmallMoney,
            0x6e => SqlType::Money,
            0x3d => SqlType::DateTime,
            0x3a => SqlType::SmallDateTime,
            0x6f if self.length == 4 => SqlType::SmallDateTime,
            0x6f => SqlType::DateTime,
            0x24 => SqlType::Guid,
            0x28 => SqlType::Date,
            0x29 => SqlType::Time(self.scale),
            0x2a => SqlType::DateTime2(self.scale),
            0x2b => SqlType::DateTimeOffset(self.scale),
            0x6a | 0x6c => SqlType::Decimal(self.precision, self.scale),
            0xa5 => SqlType::VarBinary(len(1)),
            0xad => SqlType::Binary(n(1)),
            0xa7 => SqlType::VarChar(len(1)),
            0xaf => SqlType::Char(n(1)),
            0xe7 => SqlType::NVarChar(len(2)),
            0xef => SqlType::NChar(n(2)),
            other => return Err(unsupported(format!("TDS type {other:#04x}"))),
        })
    }

    /// Reads one value. `column` is named in the error of a wrong length.
    pub(crate) fn value(self, r: &mut Reader<'_>, column: usize) -> Result<Value> {
        let bad = || {
            SqlError::new(
                4815,
                16,
                format!(
                    "Received an invalid column length from the bcp client for colid {column}."
                ),
            )
            .reach(Reach::Connection)
        };
        Ok(match self.token {
            0x30 => Value::Int(i64::from(r.u8()?)),
            0x32 => Value::Bit(r.u8()? != 0),
            0x34 => Value::Int(i64::from(r.i16()?)),
            0x38 => Value::Int(i64::from(r.i32()?)),
            0x7f => Value::Int(r.i64()?),
            0x3b => Value::Real(r.f32()?),
            0x3e => Value::Float(r.f64()?),
            0x3c | 0x7a | 0x3d | 0x3a => {
                let length = if matches!(self.token, 0x7a | 0x3a) { 4 } else { 8 };
                let bytes = r.take(length)?;
                self.sized(bytes).ok_or_else(bad)?
            }
            0x24 | 0x26 | 0x68 | 0x6d | 0x6e | 0x6f | 0x6a | 0x6c | 0x28..=0x2b => {
                let n = usize::from(r.u8()?);
                if n == 0 {
                    return Ok(Value::Null);
                }
                let bytes = r.take(n)?;
                self.sized(bytes).ok_or_else(bad)?
            }
            0xa5 | 0xad | 0xa7 | 0xaf | 0xe7 | 0xef => match self.blob(r, bad)? {
                None => Value::Null,
                Some(bytes) => match self.token {
                    0xa5 | 0xad => Value::bin(bytes),
                    0xa7 | 0xaf => Value::str(codepage::decode(&bytes)),
                    _ if bytes.len() % 2 != 0 => return Err(bad()),
                    _ => Value::str(utf16(&bytes)),
                },
            },
            other => {
                return Err(unsupported(format!("TDS type {other:#04x}")).reach(Reach::Connection));
            }
        })
    }

    fn blob<'a>(
        self,
        r: &mut Reader<'a>,
        bad: impl Fn() -> SqlError,
    ) -> Result<Option<std::borrow::Cow<'a, [u8]>>> {
        if self.length != PLP {
            let n = r.u16()?;
            if n == 0xffff {
                return Ok(None);
            }
            if u32::from(n) > self.length {
                return Err(bad());
            }
            return Ok(Some(r.take(usize::from(n))?.into()));
        }
        let total = r.u64()?;
        if total == u64::MAX {
            return Ok(None);
        }
        let mut out = Vec::new();
        loop {
            let n = usize::try_from(r.u32()?).map_err(|_| malformed())?;
            if n == 0 {
                break;
            }
            out.extend_from_slice(r.take(n)?);
        }
        if total != u64::MAX - 1 && total != u64::try_from(out.len()).unwrap_or(0) {
            return Err(bad());
        }
        Ok(Some(out.into()))
    }

    /// A value of known length; `None` when the length does not fit the type.
    fn sized(self, b: &[u8]) -> Option<Value> {
        Some(match self.token {
            0x26 => Value::Int(match b {
                [x] => i64::from(*x),
                [x, y] => i64::from(i16::from_le_bytes([*x, *y])),
                _ if b.len() == 4 => i64::from(i32::from_le_bytes(b.try_into().ok()?)),
                _ => i64::from_le_bytes(b.try_into().ok()?),
            }),
            0x68 => Value::Bit(*b.first()? != 0),
            0x6d => match b.len() {
                4 => Value::Real(f32::from_le_bytes(b.try_into().ok()?)),
                _ => Value::Float(f64::from_le_bytes(b.try_into().ok()?)),
            },
            0x24 => Value::Guid(convert::swap_guid(b.try_into().ok()?)),
            0x6e | 0x3c | 0x7a => match b.len() {
                4 => Value::dec(i128::from(i32::from_le_bytes(b.try_into().ok()?)), 4),
                8 => {
                    let hi = i32::from_le_bytes(b[..4].try_into().ok()?);
                    let lo = u32::from_le_bytes(b[4..].try_into().ok()?);
                    Value::dec((i128::from(hi) << 32) | i128::from(lo), 4)
                }
                _ => return None,
            },
            0x6f | 0x3d | 0x3a => match b.len() {
                4 => {
                    let days = u16::from_le_bytes(b[..2].try_into().ok()?);
                    let minutes = u16::from_le_bytes(b[2..].try_into().ok()?);
                    Value::DateTime(DAYS_1900 + i32::from(days), u64::from(minutes) * 60 * SECOND)
                }
                8 => {
                    let days = i32::from_le_bytes(b[..4].try_into().ok()?);
                    let units = u32::from_le_bytes(b[4..].try_into().ok()?);
                    Value::DateTime(
                        DAYS_1900.checked_add(days)?,
                        datetime::datetime_ticks(u64::from(units)),
                    )
                }
                _ => return None,
            },
            0x6a | 0x6c => {
                let (sign, digits) = b.split_first()?;
                if digits.len() > 16 {
                    return None;
                }
                let mut wide = [0; 16];
                wide[..digits.len()].copy_from_slice(digits);
                let n = i128::try_from(u128::from_le_bytes(wide)).ok()?;
                Value::dec(if *sign == 0 { -n } else { n }, self.scale)
            }
            0x28 => Value::Date(days3(b)?),
            0x29 => Value::Time(self.ticks(b)?),
            0x2a => {
                let (time, date) = b.split_at_checked(b.len().checked_sub(3)?)?;
                Value::DateTime(days3(date)?, self.ticks(time)?)
            }
            0x2b => {
                let (time, rest) = b.split_at_checked(b.len().checked_sub(5)?)?;
                let offset = i16::from_le_bytes(rest[3..].try_into().ok()?);
                Value::Offset(days3(&rest[..3])?, self.ticks(time)?, offset)
            }
            _ => return None,
        })
    }

    /// Ticks of a time at this scale; its length must be the scale's.
    fn ticks(self, b: &[u8]) -> Option<u64> {
        if b.len() != time_length(self.scale) {
            return None;
        }
        let mut wide = [0; 8];
        wide[..b.len()].copy_from_slice(b);
        u64::from_le_bytes(wide).checked_mul(10_u64.pow(u32::from(7_u8.checked_sub(self.scale)?)))
    }
}

fn days3(b: &[u8]) -> Option<i32> {
    let b: [u8; 3] = b.try_into().ok()?;
    Some(i32::from(b[0]) | i32::from(b[1]) << 8 | i32::from(b[2]) << 16)
}

fn time_length(scale: u8) -> usize {
    match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    }
}

/// Whether a value read from the wire is one its type can hold.
pub(crate) fn in_range(value: &Value, ty: SqlType) -> bool {
    match value {
        Value::Date(d) => (0..=datetime::MAX_DAYS).contains(d),
        Value::Time(t) => *t < datetime::DAY,
        Value::DateTime(d, t) | Value::Offset(d, t, _) => {
            let offset_ok = !matches!(value, Value::Offset(_, _, o) if o.abs() > 840);
            (0..=datetime::MAX_DAYS).contains(d) && *t < datetime::DAY && offset_ok
        }
        Value::Dec { hi, lo, .. } => match ty {
            SqlType::Decimal(p, _) => decimal::fits(decimal::join(*hi, *lo), p),
            _ => true,
        },
        // The documented range ends at the least normal number; DBCC CHECKDB takes others for damage.
        Value::Real(f) => f.is_normal() || *f == 0.0,
        Value::Float(f) => f.is_normal() || *f == 0.0,
        _ => true,
    }
}

fn put16(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&u16::try_from(n).unwrap_or(u16::MAX).to_le_bytes());
}

/// Whether the type has no NULL on the wire, so no length either.
fn fixed_token(ty: SqlType) -> Option<u8> {
    Some(match ty {
        SqlType::Bit => 0x32,
        SqlType::TinyInt => 0x30,
        SqlType::SmallInt => 0x34,
        SqlType::Int => 0x38,
        SqlType::BigInt => 0x7f,
        SqlType::Real => 0x3b,
        SqlType::Float => 0x3e,
        SqlType::Money => 0x3c,
        SqlType::SmallMoney => 0x7a,
        SqlType::DateTime => 0x3d,
        SqlType::SmallDateTime => 0x3a,
        _ => return None,
    })
}

/// Writes the TYPE_INFO of a result column.
pub(crate) fn put_type(
    out: &mut Vec<u8>,
    ty: SqlType,
    nullable: bool,
    coll: Option<Coll>,
    default: Coll,
) {
    if !nullable && let Some(token) = fixed_token(ty) {
        out.push(token);
        return;
    }
    let length = |limit: Len, unit: usize| match limit {
        Len::Max => 0xffff,
        Len::N(n) => usize::from(n) * unit,
    };
    let coll = coll.unwrap_or(default).wire();
    match ty {
        SqlType::Null => out.extend_from_slice(&[0x26, 4]),
        SqlType::Bit => out.extend_from_slice(&[0x68, 1]),
        SqlType::TinyInt => out.extend_from_slice(&[0x26, 1]),
        SqlType::SmallInt => out.extend_from_slice(&[0x26, 2]),
        SqlType::Int => out.extend_from_slice(&[0x26, 4]),
        SqlType::BigInt => out.extend_from_slice(&[0x26, 8]),
        SqlType::Real => out.extend_from_slice(&[0x6d, 4]),
        SqlType::Float => out.extend_from_slice(&[0x6d, 8]),
        SqlType::SmallMoney => out.extend_from_slice(&[0x6e, 4]),
        SqlType::Money => out.extend_from_slice(&[0x6e, 8]),
        SqlType::SmallDateTime => out.extend_from_slice(&[0x6f, 4]),
        SqlType::DateTime => out.extend_from_slice(&[0x6f, 8]),
        SqlType::Decimal(p, s) => {
            out.extend_from_slice(&[0x6a, u8::try_from(ty.max_length()).unwrap_or(17), p, s]);
        }
        SqlType::Date => out.push(0x28),
        SqlType::Time(s) => out.extend_from_slice(&[0x29, s]),
        SqlType::DateTime2(s) => out.extend_from_slice(&[0x2a, s]),
        SqlType::DateTimeOffset(s) => out.extend_from_slice(&[0x2b, s]),
        SqlType::Guid => out.extend_from_slice(&[0x24, 16]),
        SqlType::VarBinary(l) => {
            out.push(0xa5);
            put16(out, length(l, 1));
        }
        SqlType::Binary(n) => {
            out.push(0xad);
            put16(out, usize::from(n));
        }
        SqlType::VarChar(l) => {
            out.push(0xa7);
            put16(out, length(l, 1));
            out.extend_from_slice(&coll);
        }
        SqlType::Char(n) => {
            out.push(0xaf);
            put16(out, usize::from(n));
            out.extend_from_slice(&coll);
        }
        SqlType::NVarChar(l) => {
            out.push(0xe7);
            put16(out, length(l, 2));
            out.extend_from_slice(&coll);
        }
        SqlType::NChar(n) => {
            out.push(0xef);
            put16(out, usize::from(n) * 2);
            out.extend_from_slice(&coll);
        }
        SqlType::Variant => {
            out.push(0x62);
            out.extend_from_slice(&8009_u32.to_le_bytes());
        }
    }
}

/// Writes a value of a result column.
pub(crate) fn put_value(out: &mut Vec<u8>, v: &Value, ty: SqlType, nullable: bool, coll: Coll) {
    let fixed = !nullable && fixed_token(ty).is_some();
    if ty == SqlType::Variant {
        return put_variant(out, v, coll);
    }
    if v.is_null() {
        match ty.len() {
            Some(Len::Max) => out.extend_from_slice(&u64::MAX.to_le_bytes()),
            Some(Len::N(_)) => out.extend_from_slice(&[0xff, 0xff]),
            None => out.push(0),
        }
        return;
    }
    match (ty, v) {
        (SqlType::Bit, _) => {
            let b = u8::from(v.as_i64().unwrap_or(0) != 0);
            sized(out, &[b], fixed);
        }
        (
            SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt | SqlType::Null,
            _,
        ) => {
            let bytes = v.as_i64().unwrap_or(0).to_le_bytes();
            let width = usize::try_from(ty.max_length()).unwrap_or(8);
            sized(out, &bytes[..width], fixed);
        }
        (SqlType::Real, Value::Real(f)) => sized(out, &f.to_le_bytes(), fixed),
        (SqlType::Float, Value::Float(f)) => sized(out, &f.to_le_bytes(), fixed),
        (SqlType::Money | SqlType::SmallMoney, Value::Dec { .. }) => {
            let (n, scale) = v.as_dec().unwrap_or_default();
            let n = i64::try_from(decimal::rescale(n, scale, 4).unwrap_or(0)).unwrap_or(0);
            let b = n.to_le_bytes();
            if ty == SqlType::SmallMoney {
                sized(out, &b[..4], fixed);
            } else {
                // The high half goes first.
                sized(out, &[b[4], b[5], b[6], b[7], b[0], b[1], b[2], b[3]], fixed);
            }
        }
        (SqlType::Decimal(_, s), _) => {
            let (n, scale) = v.as_dec().unwrap_or_default();
            let n = decimal::rescale(n, scale, s).unwrap_or(0);
            let width = usize::try_from(ty.max_length()).unwrap_or(17);
            out.push(u8::try_from(width).unwrap_or(17));
            out.push(u8::from(n >= 0));
            out.extend_from_slice(&n.unsigned_abs().to_le_bytes()[..width - 1]);
        }
        (SqlType::DateTime, Value::DateTime(d, t)) => {
            let mut b = (d - DAYS_1900).to_le_bytes().to_vec();
            b.extend_from_slice(
                &u32::try_from(datetime::datetime_units(*t)).unwrap_or(0).to_le_bytes(),
            );
            sized(out, &b, fixed);
        }
        (SqlType::SmallDateTime, Value::DateTime(d, t)) => {
            let mut b = u16::try_from(d - DAYS_1900).unwrap_or(0).to_le_bytes().to_vec();
            b.extend_from_slice(&u16::try_from(t / SECOND / 60).unwrap_or(0).to_le_bytes());
            sized(out, &b, fixed);
        }
        (SqlType::Date, Value::Date(d)) => {
            out.push(3);
            out.extend_from_slice(&d.to_le_bytes()[..3]);
        }
        (SqlType::Time(s), Value::Time(t)) => {
            out.push(u8::try_from(time_length(s)).unwrap_or(5));
            put_ticks(out, *t, s);
        }
        (SqlType::DateTime2(s), Value::DateTime(d, t)) => {
            out.push(u8::try_from(time_length(s) + 3).unwrap_or(8));
            put_ticks(out, *t, s);
            out.extend_from_slice(&d.to_le_bytes()[..3]);
        }
        (SqlType::DateTimeOffset(s), Value::Offset(d, t, o)) => {
            out.push(u8::try_from(time_length(s) + 5).unwrap_or(10));
            put_ticks(out, *t, s);
            out.extend_from_slice(&d.to_le_bytes()[..3]);
            out.extend_from_slice(&o.to_le_bytes());
        }
        (SqlType::Guid, Value::Guid(g)) => {
            out.push(16);
            out.extend_from_slice(&convert::swap_guid(*g));
        }
        (_, Value::Str(s)) => put_blob(out, &convert::text_bytes(s, ty), ty),
        (_, Value::Bin(b)) => put_blob(out, b, ty),
        // A value that is not of its column's type would desynchronise the stream.
        _ => match ty.len() {
            Some(Len::Max) => out.extend_from_slice(&u64::MAX.to_le_bytes()),
            Some(Len::N(_)) => out.extend_from_slice(&[0xff, 0xff]),
            None => out.push(0),
        },
    }
}

fn sized(out: &mut Vec<u8>, bytes: &[u8], fixed: bool) {
    if !fixed {
        out.push(u8::try_from(bytes.len()).unwrap_or(0));
    }
    out.extend_from_slice(bytes);
}

fn put_ticks(out: &mut Vec<u8>, ticks: u64, scale: u8) {
    let n = ticks / 10_u64.pow(u32::from(7 - scale.min(7)));
    out.extend_from_slice(&n.to_le_bytes()[..time_length(scale)]);
}

fn put_blob(out: &mut Vec<u8>, bytes: &[u8], ty: SqlType) {
    if ty.len() != Some(Len::Max) {
        put16(out, bytes.len());
        out.extend_from_slice(bytes);
        return;
    }
    out.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
    for chunk in bytes.chunks(1 << 20) {
        out.extend_from_slice(&u32::try_from(chunk.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(&0_u32.to_le_bytes());
}

fn put_variant(out: &mut Vec<u8>, v: &Value, coll: Coll) {
    let mut body = Vec::new();
    match v {
        Value::Str(s) => {
            let bytes = convert::text_bytes(s, SqlType::SYSNAME);
            body.extend_from_slice(&[0xe7, 7]);
            body.extend_from_slice(&coll.wire());
            put16(&mut body, 8000);
            body.extend_from_slice(&bytes);
        }
        Value::Int(n) => {
            body.extend_from_slice(&[0x38, 0]);
            body.extend_from_slice(&i32::try_from(*n).unwrap_or(i32::MAX).to_le_bytes());
        }
        _ => {}
    }
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&body);
}
