//! Rows on their way into a table: defaults, identity, computed columns, conversion.

use super::*;

/// 9999-12-31T23:59:59.9999999.
const LAST_DAY: i32 = 3_652_058;
const LAST_TICK: u64 = 863_999_999_999;

/// A table that is being written.
pub(crate) struct Writer {
    pub(crate) def: Arc<TableDef>,
    pub(crate) db: i32,
    pub(super) computed: Vec<(usize, TExpr)>,
    pub(super) defaults: Vec<Option<TExpr>>,
    pub(super) identity_insert: bool,
    pub(super) explicit_identity: bool,
}

impl Writer {
    pub(crate) fn new(ctx: &mut Ctx<'_>, db: i32, def: Arc<TableDef>) -> Result<Writer> {
        let identity_insert = ctx.sess.options.identity_insert == Some(def.id);
        let mut computed = Vec::new();
        let mut defaults = Vec::new();
        for (i, c) in def.columns.iter().enumerate() {
            if let Some((text, _)) = &c.computed {
                let e = crate::tds::parse::expression(text)?;
                let mut b = Binder::new(ctx);
                b.scopes
                    .push(Scope { sources: vec![supplied(&def.name, &def)], ..Scope::default() });
                computed.push((i, b.value(&e)?));
            }
            defaults.push(match &c.default {
                Some(d) => {
                    let e = crate::tds::parse::expression(&d.text)?;
                    Some(Binder::new(ctx).value(&e)?)
                }
                None => None,
            });
        }
        Ok(Writer { def, db, computed, defaults, identity_insert, explicit_identity: false })
    }

    /// Identity values are given, as a bulk load may.
    pub(crate) fn keep_identity(&mut self) {
        self.explicit_identity = true;
    }

    /// The columns an INSERT without a list fills.
    pub(crate) fn insertable(&self) -> Vec<usize> {
        let open = |c: &Column| {
            c.computed.is_none()
                && c.generated.is_none()
                && (c.identity.is_none() || self.identity_insert)
        };
        self.def.columns.iter().enumerate().filter(|(_, c)| open(c)).map(|(i, _)| i).collect()
    }

    /// A value as the column keeps it.
    pub(crate) fn store(
        &self,
        ctx: &Ctx<'_>,
        column: usize,
        v: &Value,
        ty: SqlType,
        verb: &str,
    ) -> Result<Value> {
        let c = &self.def.columns[column];
        if v.is_null() {
            if c.nullable {
                return Ok(Value::Null);
            }
            return Err(SqlError::new(
                515,
                16,
                format!(
                    "Cannot insert the value NULL into column '{}', table '{}'; column does not allow nulls. {verb} fails.",
                    c.name,
                    full_name(ctx, self.db, &self.def)
                ),
            )
            .state(2));
        }
        convert::assign(v, ty, c.ty, |kept| {
            SqlError::new(
                2628,
                16,
                format!(
                    "String or binary data would be truncated in table '{}', column '{}'. Truncated value: '{kept}'.",
                    full_name(ctx, self.db, &self.def),
                    c.name
                ),
            )
        })
    }

    /// A whole row from the given columns; the others take their default.
    pub(crate) fn complete(
        &self,
        ctx: &mut Ctx<'_>,
        columns: &[usize],
        values: Vec<Value>,
    ) -> Result<Vec<Value>> {
        let mut row = vec![Value::Null; self.def.columns.len()];
        let mut given = vec![false; row.len()];
        for (i, v) in columns.iter().zip(values) {
            row[*i] = v;
            given[*i] = true;
        }
        for (i, c) in self.def.columns.iter().enumerate() {
            if given[i] || c.computed.is_some() || c.generated.is_some() {
                continue;
            }
            if let Some((seed, step)) = c.identity {
                row[i] = Value::Int(self.next_identity(ctx, seed, step));
                continue;
            }
            let (v, ty) = match &self.defaults[i] {
                Some(e) => (value(ctx, e, &Env::default())?, e.ty),
                None => (Value::Null, c.ty),
            };
            row[i] = self.store(ctx, i, &v, ty, "INSERT")?;
        }
        self.compute(ctx, &mut row)?;
        Ok(row)
    }

    pub(super) fn next_identity(&self, ctx: &mut Ctx<'_>, seed: i64, step: i64) -> i64 {
        let Some(data) = ctx.state.tables.get_mut(&self.def.id) else { return seed };
        let n = data.identity.map_or(seed, |last| last.saturating_add(step));
        data.identity = Some(n);
        ctx.sess.scope_identity = Some(n);
        n
    }

    /// Fills what the server fills: rowversions, period columns, computed columns.
    pub(crate) fn compute(&self, ctx: &mut Ctx<'_>, row: &mut [Value]) -> Result<()> {
        for (i, c) in self.def.columns.iter().enumerate() {
            row[i] = match c.generated {
                None => continue,
                Some(Generated::Version) => {
                    Value::bin(ctx.state.next_rowversion(ctx.sess.id, self.db).to_be_bytes())
                }
                Some(Generated::PeriodStart) => {
                    let begun = ctx.state.txns.get(&ctx.sess.id).map_or(ctx.now, |t| t.begun);
                    convert::temporal(begun.0, begun.1, None, c.ty)?
                }
                Some(Generated::PeriodEnd) => {
                    let step = 10_u64.pow(7 - u32::from(c.ty.time_scale().min(7)));
                    Value::DateTime(LAST_DAY, LAST_TICK - LAST_TICK % step)
                }
            };
        }
        if self.computed.is_empty() {
            return Ok(());
        }
        let tuple: Tuple = vec![Some(Cell { row: Arc::from(row.to_vec()), id: 0 })];
        let env = Env { tuple: &tuple, ..Env::default() };
        for (i, e) in &self.computed {
            row[*i] = value(ctx, e, &env)?;
        }
        Ok(())
    }

    /// Adds a row that is complete.
    pub(crate) fn insert(&self, ctx: &mut Ctx<'_>, row: Vec<Value>) -> Result<Row> {
        if self.explicit_identity {
            self.raise_identity(ctx, &row);
        }
        let row: Row = Arc::from(row);
        self.check_locks(ctx, &row)?;
        if let Some(data) = ctx.state.tables.get_mut(&self.def.id) {
            let id = data.allocate();
            ctx.state.set_row(ctx.sess.id, self.def.id, id, Some(row.clone()));
            ctx.changed.push((self.def.id, id));
        }
        Ok(row)
    }

    pub(super) fn raise_identity(&self, ctx: &mut Ctx<'_>, row: &[Value]) {
        for (i, c) in self.def.columns.iter().enumerate() {
            if let (Some((_, step)), Some(n)) = (c.identity, row[i].as_i64()) {
                ctx.sess.scope_identity = Some(n);
                if let Some(data) = ctx.state.tables.get_mut(&self.def.id) {
                    let further =
                        data.identity.is_none_or(|last| if step > 0 { n > last } else { n < last });
                    if further {
                        data.identity = Some(n);
                    }
                }
            }
        }
    }

    /// Waits for whoever has locked the table or one of the row's keys.
    pub(super) fn check_locks(&self, ctx: &mut Ctx<'_>, row: &Row) -> Result<()> {
        if self.def.id < 0 {
            return Ok(());
        }
        let me = ctx.sess.id;
        let mut holder = ctx.state.locks.table_holder(self.def.id, me, true);
        if holder.is_none()
            && let Some(data) = ctx.state.tables.get(&self.def.id)
        {
            holder = data
                .indexes
                .iter()
                .filter(|i| i.unique)
                .filter_map(|i| i.key(row))
                .find_map(|k| ctx.state.locks.key_holder(self.def.id, &k, me));
        }
        match holder {
            Some(h) => Err(ctx.state.wait_for(h)),
            None => Ok(()),
        }
    }

    /// Replaces or removes a row.
    pub(super) fn change(
        &self,
        ctx: &mut Ctx<'_>,
        id: RowId,
        old: &Row,
        new: Option<Row>,
    ) -> Result<()> {
        self.check_locks(ctx, old)?;
        if let Some(row) = &new {
            self.check_locks(ctx, row)?;
        }
        ctx.state.set_row(ctx.sess.id, self.def.id, id, new);
        ctx.changed.push((self.def.id, id));
        Ok(())
    }
}
