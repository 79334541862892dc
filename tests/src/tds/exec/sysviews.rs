//! Catalog views: `sys.*` and `INFORMATION_SCHEMA.*`, as far as the session may see them.

mod information;
mod objects;
mod security;
mod transactions;

use std::sync::Arc;

use super::Ctx;
use crate::tds::bind::{Label, OutCol};
use crate::tds::engine::catalog::{Database, TableDef};
use crate::tds::engine::permission;
use crate::tds::error::{Result, SqlError};
use crate::tds::types::{Coll, Len, Row, SqlType, Value, convert};

/// A view's columns and rows.
pub(crate) type View = (Vec<OutCol>, Vec<Row>);

/// Builds a view row by row.
pub(super) struct Builder {
    columns: Vec<OutCol>,
    rows: Vec<Row>,
}

impl Builder {
    /// `spec` lists `name type` pairs, separated by commas; `?` after the type allows NULL.
    pub(super) fn new(spec: &str, coll: Coll) -> Builder {
        let columns = spec
            .split(',')
            .filter_map(|c| c.trim().split_once(' '))
            .map(|(name, ty)| {
                let (ty, nullable) = match ty.strip_suffix('?') {
                    Some(t) => (t, true),
                    None => (ty, false),
                };
                let ty = match ty {
                    "int" => SqlType::Int,
                    "bigint" => SqlType::BigInt,
                    "smallint" => SqlType::SmallInt,
                    "tinyint" => SqlType::TinyInt,
                    "bit" => SqlType::Bit,
                    "datetime" => SqlType::DateTime,
                    "char1" => SqlType::Char(1),
                    "char2" => SqlType::Char(2),
                    "char4" => SqlType::Char(4),
                    "varchar" => SqlType::VarChar(Len::N(30)),
                    "bin" => SqlType::VarBinary(Len::N(85)),
                    "nmax" => SqlType::NVarChar(Len::Max),
                    "variant" => SqlType::Variant,
                    "guid" => SqlType::Guid,
                    "n60" => SqlType::NVarChar(Len::N(60)),
                    _ => SqlType::SYSNAME,
                };
                let label = if ty.is_text() { Label::Implicit(coll) } else { Label::None };
                OutCol {
                    name: name.to_owned(),
                    ty,
                    label,
                    nullable,
                    identity: false,
                    computed: false,
                }
            })
            .collect();
        Builder { columns, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, values: Vec<Value>) {
        debug_assert_eq!(values.len(), self.columns.len());
        self.rows.push(Arc::from(values));
    }

    pub(super) fn done(self) -> View {
        (self.columns, self.rows)
    }
}

pub(super) fn n(value: impl Into<i64>) -> Value {
    Value::Int(value.into())
}

pub(super) fn s(text: impl AsRef<str>) -> Value {
    Value::str(text)
}

pub(super) fn b(on: bool) -> Value {
    Value::Bit(on)
}

pub(super) fn when(at: (i32, u64)) -> Value {
    convert::temporal(at.0, at.1, None, SqlType::DateTime).unwrap_or(Value::Null)
}

/// What a view looks at: a database, and the session's right to see its objects.
pub(super) struct Look<'c, 'x, 'y> {
    pub(super) ctx: &'x mut Ctx<'y>,
    pub(super) db: &'c Database,
    user: i32,
}

impl Look<'_, '_, '_> {
    /// The tables that the session may see; in tempdb its own temporary ones.
    pub(super) fn tables(&self) -> Vec<Arc<TableDef>> {
        if self.db.name == "tempdb" {
            let own = self.ctx.state.temp.get(&self.ctx.sess.id);
            let shared = self.ctx.state.temp.get(&0);
            return own
                .into_iter()
                .chain(shared)
                .flat_map(|m| m.values())
                .map(|(d, _)| d.clone())
                .filter(|d| d.name.starts_with('#'))
                .collect();
        }
        self.db.tables.values().filter(|t| self.sees(t.id)).cloned().collect()
    }

    pub(super) fn sees(&self, object: i32) -> bool {
        permission::visible(self.db, self.user, object)
    }

    pub(super) fn coll(&self) -> Coll {
        self.db.collation
    }
}

/// The number of a view of `sys`: negative, as those of the server's own objects are.
pub(crate) fn number(ctx: &mut Ctx<'_>, name: &str) -> Result<Option<i32>> {
    let name = name.to_lowercase();
    // Whether it is there does not depend on who may read it.
    let there = name.starts_with("dm_tran_") || view(ctx, "sys", &name, None)?.is_some();
    let sum = name.bytes().fold(0_i32, |sum, b| (sum * 31 + i32::from(b)) % 1_000_003);
    Ok(there.then_some(-1_000_000_000 + sum))
}

/// The view of that (lower-case) name, if the double has it.
pub(crate) fn view(
    ctx: &mut Ctx<'_>,
    schema: &str,
    name: &str,
    db: Option<&str>,
) -> Result<Option<View>> {
    let catalog = ctx.state.catalog.clone();
    let d = match db {
        Some(n) => catalog
            .database(n)
            .ok_or_else(|| SqlError::new(911, 16, format!("Database '{n}' does not exist.")))?,
        None => ctx.database(&catalog),
    };
    // What another session's open transaction makes or drops is in doubt.
    let me = ctx.sess.id;
    let holder = match &ctx.state.locks.ddl {
        Some((holder, _)) if *holder != me && d.name != "tempdb" => Some(*holder),
        _ => None,
    };
    if let Some(holder) = holder {
        return Err(ctx.state.wait_for(holder));
    }
    let user = ctx.user_in(d).unwrap_or(0);
    if schema == "sys" && name.starts_with("dm_tran_") {
        transactions::require(ctx)?;
    }
    let mut look = Look { ctx, db: d, user };
    Ok(match schema {
        "sys" => objects::view(&mut look, name)
            .or_else(|| security::view(&mut look, name))
            .or_else(|| transactions::view(&look, name)),
        _ => information::view(&mut look, name),
    })
}
