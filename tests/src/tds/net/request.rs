//! What a client asks: batches, procedure calls, transaction requests.

use super::reader::{Reader, utf16};
use super::wire::Wire;
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::types::{SqlType, Value};

/// A parameter of a procedure call.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) output: bool,
    pub(crate) ty: SqlType,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Request {
    Batch { text: String, descriptor: u64 },
    Call { name: String, params: Vec<Param>, descriptor: u64 },
    Begin { isolation: u8 },
    Commit,
    Rollback { name: String },
    Save { name: String },
    Bulk(Vec<u8>),
}

/// ALL_HEADERS; returns the transaction descriptor.
fn headers(r: &mut Reader<'_>) -> Result<u64> {
    let total = usize::try_from(r.u32()?).unwrap_or(0);
    let mut inner = Reader::new(r.take(total.saturating_sub(4))?);
    let mut descriptor = 0;
    while !inner.is_empty() {
        let length = usize::try_from(inner.u32()?).unwrap_or(0);
        let mut body = Reader::new(inner.take(length.saturating_sub(4))?);
        if body.u16()? == 2 {
            descriptor = body.u64()?;
        }
    }
    Ok(descriptor)
}

pub(crate) fn batch(message: &[u8]) -> Result<Request> {
    let mut r = Reader::new(message);
    let descriptor = headers(&mut r)?;
    Ok(Request::Batch { text: utf16(r.rest()), descriptor })
}

pub(crate) fn call(message: &[u8]) -> Result<Request> {
    let mut r = Reader::new(message);
    let descriptor = headers(&mut r)?;
    let length = r.u16()?;
    let name = if length == 0xffff {
        match r.u16()? {
            10 => "sp_executesql".to_owned(),
            n => format!("procedure number {n}"),
        }
    } else {
        utf16(r.take(usize::from(length) * 2)?)
    };
    r.u16()?;
    let mut params = Vec::new();
    while !r.is_empty() {
        let name = r.b_varchar()?;
        let flags = r.u8()?;
        let wire = Wire::read(&mut r)?;
        let ty = wire.sql_type()?;
        let value = wire.value(&mut r, params.len() + 1)?;
        if !super::wire::in_range(&value, ty) {
            return Err(SqlError::new(
                8023,
                16,
                format!("The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect. Parameter {} (\"{name}\"): The supplied value is not a valid instance of data type {}. Check the source data for invalid values.", params.len() + 1, ty.name()),
            )
            .state(1));
        }
        params.push(Param { name, output: flags & 1 != 0, ty, value });
    }
    Ok(Request::Call { name, params, descriptor })
}

pub(crate) fn transaction(message: &[u8]) -> Result<Request> {
    let mut r = Reader::new(message);
    headers(&mut r)?;
    match r.u16()? {
        5 => Ok(Request::Begin { isolation: r.u8()? }),
        kind @ (7 | 8) => {
            let name = r.b_varchar()?;
            if r.u8()? != 0 {
                return Err(
                    unsupported("a transaction request that begins another").reach(Reach::Batch)
                );
            }
            Ok(if kind == 7 { Request::Commit } else { Request::Rollback { name } })
        }
        9 => Ok(Request::Save { name: r.b_varchar()? }),
        other => Err(unsupported(format!("transaction manager request {other}"))),
    }
}
