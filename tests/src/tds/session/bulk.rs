//! INSERT BULK and the rows that follow it.

use std::sync::Arc;

use super::control::Runner;
use crate::tds::bind::find_table;
use crate::tds::engine::catalog::TableDef;
use crate::tds::error::{Reach, Result, SqlError, invalid_column, overflow, unsupported};
use crate::tds::exec::Ctx;
use crate::tds::exec::constraints::check_changed;
use crate::tds::exec::dml::Writer;
use crate::tds::exec::query::lock_table;
use crate::tds::faults::Point;
use crate::tds::net::reader::Reader;
use crate::tds::net::tokens::INSERT;
use crate::tds::net::wire::{Wire, in_range};
use crate::tds::parse::ast::InsertBulk;
use crate::tds::types::{Len, SqlType, Value};

/// The table and columns that an INSERT BULK announced.
#[derive(Debug)]
pub(crate) struct BulkTarget {
    db: i32,
    def: Arc<TableDef>,
    columns: Vec<(usize, SqlType)>,
    check_constraints: bool,
    keep_nulls: bool,
    tablock: bool,
}

impl BulkTarget {
    pub(super) fn new(ctx: &mut Ctx<'_>, b: &InsertBulk) -> Result<BulkTarget> {
        let (db, def) = find_table(ctx, &b.table)?;
        ctx.require(db, "INSERT", &def)?;
        let constrained =
            def.checks.iter().any(|c| !c.disabled) || def.foreign_keys.iter().any(|f| !f.disabled);
        let mut columns = Vec::new();
        let mut identity = false;
        for c in &b.columns {
            let at = def.column(&c.name).ok_or_else(|| invalid_column(&c.name))?;
            if def.columns[at].generated.is_some() {
                return Err(unsupported("a bulk load of a generated column"));
            }
            if def.columns[at].computed.is_some() {
                return Err(SqlError::new(
                    271,
                    16,
                    format!("The column \"{}\" cannot be modified because it is either a computed column or is the result of a UNION operator.", c.name),
                )
                .reach(Reach::Batch));
            }
            if let Some(name) = &c.collation {
                crate::tds::types::Coll::parse(name)?;
            }
            identity |= def.columns[at].identity.is_some();
            columns.push((at, c.ty));
        }
        if (constrained && !b.check_constraints) || identity {
            // Skipping constraints or keeping identity values is a change of the table.
            ctx.require(db, "ALTER", &def)?;
        }
        Ok(BulkTarget {
            db,
            def,
            columns,
            check_constraints: b.check_constraints,
            keep_nulls: b.keep_nulls,
            tablock: b.tablock,
        })
    }
}

/// Whether the type a client announces in its rows is the one it announced in INSERT BULK.
fn compatible(declared: SqlType, wire: Wire) -> bool {
    let Ok(sent) = wire.sql_type() else { return false };
    match (declared, sent) {
        // Lengths may differ, but `max` is another format.
        (SqlType::NVarChar(a), SqlType::NVarChar(b))
        | (SqlType::VarChar(a), SqlType::VarChar(b))
        | (SqlType::VarBinary(a), SqlType::VarBinary(b)) => (a == Len::Max) == (b == Len::Max),
        (SqlType::NChar(_), SqlType::NChar(_))
        | (SqlType::Char(_), SqlType::Char(_))
        | (SqlType::Binary(_), SqlType::Binary(_)) => true,
        (a, b) => a == b,
    }
}

fn wrong_type(column: usize) -> SqlError {
    SqlError::new(4816, 16, format!("Invalid column type from bcp client for colid {column}."))
}

fn out_of_range(column: usize, ty: SqlType) -> SqlError {
    if matches!(ty, SqlType::Decimal(..)) {
        return overflow("numeric to data type numeric").state(8);
    }
    SqlError::new(
        7339,
        16,
        format!(
            "Invalid data for column {column} of the bulk load: the value is outside the range of {}.",
            ty.declaration()
        ),
    )
}

/// The rows of a bulk-load message.
fn decode(message: &[u8], columns: &[(usize, SqlType)]) -> Result<Vec<Vec<(Value, SqlType)>>> {
    let mut r = Reader::new(message);
    let unexpected = || {
        SqlError::new(
            4804,
            21,
            "While reading current row from host, a premature end-of-message was encountered--an incoming data stream was interrupted when the server expected to see more data. The host program may have terminated.",
        )
        .reach(Reach::Connection)
    };
    if r.u8()? != 0x81 {
        return Err(unexpected());
    }
    let count = usize::from(r.u16()?);
    if count != columns.len() {
        return Err(wrong_type(columns.len().min(count) + 1));
    }
    let mut wires = Vec::with_capacity(count);
    for (i, (_, declared)) in columns.iter().enumerate() {
        r.u32()?;
        r.u16()?;
        let wire = Wire::read(&mut r)?;
        r.b_varchar()?;
        if !compatible(*declared, wire) {
            return Err(wrong_type(i + 1));
        }
        wires.push((wire, wire.sql_type()?));
    }
    let mut rows = Vec::new();
    loop {
        match r.u8()? {
            0xd1 => {
                let mut row = Vec::with_capacity(count);
                for (i, (wire, ty)) in wires.iter().enumerate() {
                    let v = wire.value(&mut r, i + 1)?;
                    if !in_range(&v, *ty) {
                        return Err(out_of_range(i + 1, *ty));
                    }
                    row.push((v, *ty));
                }
                rows.push(row);
            }
            0xfd | 0xfe => return Ok(rows),
            _ => return Err(unexpected()),
        }
    }
}

impl Runner {
    /// The message that follows INSERT BULK.
    pub(crate) fn bulk_load(&mut self, message: &[u8]) {
        let target = self.bulk.take();
        self.start();
        let result = match &target {
            Some(t) => self.load(t, message),
            None => {
                Err(SqlError::new(4801, 16, "A bulk load must follow an INSERT BULK statement.")
                    .reach(Reach::Connection))
            }
        };
        match result {
            Ok(n) => {
                self.sess.rowcount = n;
                self.tokens.done(INSERT, Some(n));
            }
            Err(e) => {
                let rollback = self.sess.trancount > 0
                    && (self.sess.options.xact_abort || e.reach >= Reach::Transaction);
                self.report(&e.at_line(1));
                if rollback {
                    self.rollback_all();
                }
                self.tokens.done(0xfd, None);
            }
        }
        self.end_of_batch();
        self.tokens.finish_batch();
    }

    fn load(&mut self, t: &BulkTarget, message: &[u8]) -> Result<i64> {
        let rows = decode(message, &t.columns)?;
        self.fault_at(&Point::BulkEnd)?;
        let columns: Vec<usize> = t.columns.iter().map(|(c, _)| *c).collect();
        self.run(|ctx| {
            if t.tablock {
                lock_table(ctx, t.def.id, true)?;
            }
            let mut writer = Writer::new(ctx, t.db, t.def.clone())?;
            writer.keep_identity();
            for row in &rows {
                let mut given = Vec::with_capacity(columns.len());
                let mut values = Vec::with_capacity(columns.len());
                for ((v, ty), c) in row.iter().zip(&columns) {
                    // A NULL takes the column's default unless the client keeps NULLs.
                    if v.is_null() && !t.keep_nulls && t.def.columns[*c].default.is_some() {
                        continue;
                    }
                    given.push(*c);
                    values.push(writer.store(ctx, *c, v, *ty, "INSERT")?);
                }
                let full = writer.complete(ctx, &given, values)?;
                writer.insert(ctx, full)?;
            }
            check_changed(ctx, if t.check_constraints { "INSERT" } else { "BULK" })?;
            Ok(i64::try_from(rows.len()).unwrap_or(i64::MAX))
        })
    }
}
