//! Joins, depth first, and the locks that reading takes.

use super::*;

/// What a reader does with a row that another session has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Wait,
    Committed,
    Dirty,
    Skip,
}

/// Joins the sources depth first; `target` is the source that will be written.
pub(crate) fn join(
    ctx: &mut Ctx<'_>,
    plan: &JoinPlan,
    parent: Option<&Env<'_>>,
    target: Option<usize>,
    emit: Emit<'_>,
) -> Result<()> {
    let mut tuple: Tuple = vec![None; plan.sources.len()];
    for p in &plan.first {
        let env = Env { tuple: &tuple, parent, ..Env::default() };
        if truth(ctx, p, &env)? != Some(true) {
            return Ok(());
        }
    }
    let mut run = Run { plan, parent, target, matched: HashSet::new(), local: HashMap::new() };
    if !run.step(ctx, 0, &mut tuple, emit)? {
        return Ok(());
    }
    run.unmatched(ctx, emit)
}

pub(super) struct Run<'p> {
    pub(super) plan: &'p JoinPlan,
    pub(super) parent: Option<&'p Env<'p>>,
    pub(super) target: Option<usize>,
    /// Rows of a full join's right side that found a partner.
    pub(super) matched: HashSet<RowId>,
    /// Rows of sources that may not be cached for the whole statement.
    pub(super) local: HashMap<usize, Rc<Vec<Cell>>>,
}

impl Run<'_> {
    pub(super) fn step(
        &mut self,
        ctx: &mut Ctx<'_>,
        n: usize,
        tuple: &mut Tuple,
        emit: Emit<'_>,
    ) -> Result<bool> {
        let plan = self.plan;
        let Some(step) = plan.steps.get(n) else { return emit(ctx, tuple) };
        let candidates = self.candidates(ctx, step, tuple)?;
        let mut found = false;
        for (i, cell) in candidates.iter().enumerate() {
            if i % 4096 == 4095 {
                ctx.check_cancel()?;
            }
            tuple[step.source] = Some(cell.clone());
            if !self.all(ctx, &step.on, tuple)? {
                continue;
            }
            found = true;
            if step.kind == StepKind::Full {
                self.matched.insert(cell.id);
            }
            if self.all(ctx, &step.after, tuple)? && !self.step(ctx, n + 1, tuple, emit)? {
                tuple[step.source] = None;
                return Ok(false);
            }
        }
        tuple[step.source] = None;
        if !found && step.kind != StepKind::Inner && self.all(ctx, &step.after, tuple)? {
            return self.step(ctx, n + 1, tuple, emit);
        }
        Ok(true)
    }

    /// The right rows of a full join that nothing matched.
    pub(super) fn unmatched(&mut self, ctx: &mut Ctx<'_>, emit: Emit<'_>) -> Result<()> {
        let plan = self.plan;
        let Some(n) = plan.steps.iter().position(|s| s.kind == StepKind::Full) else {
            return Ok(());
        };
        let step = &plan.steps[n];
        let all = self.source_rows(ctx, step)?;
        for cell in all.iter() {
            if self.matched.contains(&cell.id) {
                continue;
            }
            let mut tuple: Tuple = vec![None; plan.sources.len()];
            tuple[step.source] = Some(cell.clone());
            if self.all(ctx, &step.after, &tuple)? && !self.step(ctx, n + 1, &mut tuple, emit)? {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(super) fn all(&self, ctx: &mut Ctx<'_>, preds: &[Pred], tuple: &Tuple) -> Result<bool> {
        let env = Env { tuple, parent: self.parent, ..Env::default() };
        for p in preds {
            if truth(ctx, p, &env)? != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn candidates(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        tuple: &Tuple,
    ) -> Result<Rc<Vec<Cell>>> {
        match &step.access {
            Access::Scan => self.source_rows_at(ctx, step, tuple),
            Access::Hash { build, probe, colls } => {
                let table = self.hash_table(ctx, step, build, colls)?;
                let env = Env { tuple, parent: self.parent, ..Env::default() };
                let mut k = Vec::new();
                for (e, coll) in probe.iter().zip(colls) {
                    let v = value(ctx, e, &env)?;
                    if v.is_null() {
                        return Ok(Rc::default());
                    }
                    key::push(&mut k, &v, *coll);
                }
                Ok(table.get(&k).cloned().unwrap_or_default())
            }
            Access::Index { index, keys, full } => {
                self.index_rows(ctx, step, tuple, *index, keys, *full)
            }
        }
    }

    pub(super) fn hash_table(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        build: &[TExpr],
        colls: &[Option<crate::tds::types::Coll>],
    ) -> Result<Rc<HashTable>> {
        let slot = usize::MAX / 2 + step.cache;
        if step.cache != 0
            && let Some(Cached::Hash(t)) = ctx.cache.get(&slot)
        {
            return Ok(t.clone());
        }
        let all = self.source_rows(ctx, step)?;
        let mut table: HashMap<Vec<u8>, Vec<Cell>> = HashMap::new();
        let mut tuple: Tuple = vec![None; self.plan.sources.len()];
        'rows: for cell in all.iter() {
            tuple[step.source] = Some(cell.clone());
            let env = Env { tuple: &tuple, parent: self.parent, ..Env::default() };
            let mut k = Vec::new();
            for (e, coll) in build.iter().zip(colls) {
                let v = value(ctx, e, &env)?;
                if v.is_null() {
                    continue 'rows;
                }
                key::push(&mut k, &v, *coll);
            }
            table.entry(k).or_default().push(cell.clone());
        }
        let table: Rc<HashTable> =
            Rc::new(table.into_iter().map(|(k, v)| (k, Rc::new(v))).collect());
        if step.cache != 0 {
            ctx.cache.insert(slot, Cached::Hash(table.clone()));
        }
        Ok(table)
    }

    pub(super) fn source_rows(&mut self, ctx: &mut Ctx<'_>, step: &Step) -> Result<Rc<Vec<Cell>>> {
        let tuple: Tuple = vec![None; self.plan.sources.len()];
        self.source_rows_at(ctx, step, &tuple)
    }

    /// Every row of a source that passes its own predicates.
    pub(super) fn source_rows_at(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        tuple: &Tuple,
    ) -> Result<Rc<Vec<Cell>>> {
        if step.cache != 0
            && let Some(Cached::Cells(c)) = ctx.cache.get(&step.cache)
        {
            return Ok(c.clone());
        }
        let source = &self.plan.sources[step.source];
        let correlated = matches!(source.rows, Rows::Query { correlated: true, .. });
        if step.cache == 0
            && !correlated
            && let Some(c) = self.local.get(&step.source)
        {
            return Ok(c.clone());
        }
        let env = Env { tuple, parent: self.parent, ..Env::default() };
        let number = |n: usize| RowId::try_from(n).unwrap_or(RowId::MAX);
        let cells: Vec<Cell> = match &source.rows {
            Rows::Table { id, hints } => self.scan(ctx, *id, *hints, step.source)?,
            Rows::Query { plan, .. } => {
                let out = rows(ctx, plan, Some(&env))?;
                out.into_iter().enumerate().map(|(n, row)| Cell { row, id: number(n) }).collect()
            }
            Rows::Values(list) => {
                let mut out = Vec::new();
                for (n, row) in list.iter().enumerate() {
                    out.push(Cell { row: project(ctx, row, &env)?, id: number(n) });
                }
                out
            }
            Rows::Fixed(rows) => rows
                .iter()
                .enumerate()
                .map(|(n, row)| Cell { row: row.clone(), id: number(n) })
                .collect(),
            Rows::Supplied => return Err(unsupported("this use of inserted or deleted")),
        };
        let cells = self.filter_local(ctx, step, cells)?;
        let cells = Rc::new(cells);
        if step.cache != 0 {
            ctx.cache.insert(step.cache, Cached::Cells(cells.clone()));
        } else if !correlated {
            self.local.insert(step.source, cells.clone());
        }
        Ok(cells)
    }

    pub(super) fn filter_local(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        cells: Vec<Cell>,
    ) -> Result<Vec<Cell>> {
        let locking = self.locking(ctx, step.source);
        if step.local.is_empty() && locking.is_none() {
            return Ok(cells);
        }
        let mut out = Vec::new();
        let mut tuple: Tuple = vec![None; self.plan.sources.len()];
        for cell in cells {
            tuple[step.source] = Some(cell.clone());
            if self.all(ctx, &step.local, &tuple)? {
                if let Some(table) = locking {
                    lock_row(ctx, table, &cell.row)?;
                }
                out.push(cell);
            }
        }
        Ok(out)
    }

    /// The table, when rows that are read must stay locked until the transaction ends.
    pub(super) fn locking(&self, ctx: &Ctx<'_>, source: usize) -> Option<ObjectId> {
        let Rows::Table { id, hints } = &self.plan.sources[source].rows else { return None };
        let level = ctx.sess.options.isolation;
        let repeatable = matches!(level, Isolation::RepeatableRead | Isolation::Serializable);
        (hints.updlock
            || hints.xlock
            || hints.repeatable
            || hints.serializable
            || (repeatable && !hints.nolock))
            .then_some(*id)
    }

    pub(super) fn reading(&self, ctx: &Ctx<'_>, hints: Hints, source: usize) -> Reading {
        if self.target == Some(source) {
            return if hints.readpast { Reading::Skip } else { Reading::Wait };
        }
        let level = ctx.sess.options.isolation;
        if hints.nolock || level == Isolation::ReadUncommitted {
            return Reading::Dirty;
        }
        if hints.readpast {
            return Reading::Skip;
        }
        let locks = hints.updlock || hints.xlock || hints.serializable || hints.repeatable;
        let rcsi = ctx.database(&ctx.state.catalog).read_committed_snapshot;
        if !locks && (level == Isolation::Snapshot || (rcsi && level == Isolation::ReadCommitted)) {
            Reading::Committed
        } else {
            Reading::Wait
        }
    }

    pub(super) fn scan(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: ObjectId,
        hints: Hints,
        source: usize,
    ) -> Result<Vec<Cell>> {
        self.table_locks(ctx, id, hints, source)?;
        let level = ctx.sess.options.isolation;
        snapshot_allowed(ctx, id)?;
        if id > 0 && (hints.serializable || (level == Isolation::Serializable && !hints.nolock)) {
            // A scan under SERIALIZABLE locks every range, which is the table.
            lock_table(ctx, id, false)?;
        }
        let reading = self.reading(ctx, hints, source);
        let me = ctx.sess.id;
        let mut out = Vec::new();
        let mut blocker = None;
        if let Some(data) = ctx.state.tables.get(&id) {
            out.reserve(data.live);
            for n in data.ids() {
                let Some(slot) = data.slot(n) else { continue };
                match visible(slot, me, reading) {
                    Ok(Some(row)) => out.push(Cell { row, id: n }),
                    Ok(None) => {}
                    Err(holder) => {
                        blocker = Some(holder);
                        break;
                    }
                }
            }
        }
        match blocker {
            Some(holder) => Err(ctx.state.wait_for(holder)),
            None => Ok(out),
        }
    }

    pub(super) fn table_locks(
        &self,
        ctx: &mut Ctx<'_>,
        id: ObjectId,
        hints: Hints,
        source: usize,
    ) -> Result<()> {
        if id < 0 {
            return Ok(());
        }
        if hints.tablockx || (hints.tablock && (hints.xlock || self.target == Some(source))) {
            lock_table(ctx, id, true)?;
        } else if hints.tablock && (hints.serializable || hints.updlock) {
            lock_table(ctx, id, false)?;
        }
        if !hints.nolock {
            let write = self.target == Some(source);
            if let Some(holder) = ctx.state.locks.table_holder(id, ctx.sess.id, write) {
                return Err(ctx.state.wait_for(holder));
            }
        }
        Ok(())
    }

    pub(super) fn index_rows(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: &Step,
        tuple: &Tuple,
        index: usize,
        keys: &[TExpr],
        full: bool,
    ) -> Result<Rc<Vec<Cell>>> {
        let Rows::Table { id, hints } = &self.plan.sources[step.source].rows else {
            return Ok(Rc::default());
        };
        let (id, hints) = (*id, *hints);
        let columns = match ctx.state.tables.get(&id).and_then(|d| d.indexes.get(index)) {
            Some(i) => i.columns.clone(),
            None => return Ok(Rc::default()),
        };
        let env = Env { tuple, parent: self.parent, ..Env::default() };
        let mut probe = Vec::new();
        for (e, (_, coll)) in keys.iter().zip(&columns) {
            let v = value(ctx, e, &env)?;
            if v.is_null() {
                return Ok(Rc::default());
            }
            key::push(&mut probe, &v, *coll);
        }
        self.table_locks(ctx, id, hints, step.source)?;
        snapshot_allowed(ctx, id)?;
        let locking = self.locking(ctx, step.source).is_some();
        if locking && id > 0 {
            if full {
                let k = probe.clone().into_boxed_slice();
                if let Err(holder) = ctx.state.locks.key_lock(id, &k, ctx.sess.id) {
                    return Err(ctx.state.wait_for(holder));
                }
            } else if hints.serializable || ctx.sess.options.isolation == Isolation::Serializable {
                lock_table(ctx, id, false)?;
            }
        }
        let reading = self.reading(ctx, hints, step.source);
        let me = ctx.sess.id;
        let mut out = Vec::new();
        let mut blocker = None;
        if let Some(data) = ctx.state.tables.get(&id) {
            let i = &data.indexes[index];
            let mut take = |ids: &[RowId]| {
                for n in ids {
                    let Some(slot) = data.slot(*n) else { continue };
                    match visible(slot, me, reading) {
                        Ok(Some(row)) => {
                            // An entry may stand for a version that is not the visible one.
                            if i.key(&row).is_some_and(|k| k.starts_with(&probe)) {
                                out.push(Cell { row, id: *n });
                            }
                        }
                        Ok(None) => {}
                        Err(holder) => blocker = Some(holder),
                    }
                }
            };
            if keys.len() == columns.len() {
                if let Some(ids) = i.map.get(probe.as_slice()) {
                    take(ids.as_slice());
                }
            } else {
                let from = probe.clone().into_boxed_slice();
                for (k, ids) in i.map.range(from..) {
                    if !k.starts_with(&probe) {
                        break;
                    }
                    take(ids.as_slice());
                }
            }
        }
        if let Some(holder) = blocker {
            return Err(ctx.state.wait_for(holder));
        }
        Ok(Rc::new(self.filter_local(ctx, step, out)?))
    }
}

/// SNAPSHOT is for databases that allow it.
fn snapshot_allowed(ctx: &Ctx<'_>, table: ObjectId) -> Result<()> {
    let databases = &ctx.state.catalog.databases;
    match databases.iter().find(|d| d.tables.contains_key(&table)) {
        Some(d) if ctx.sess.options.isolation == Isolation::Snapshot && !d.snapshot_isolation => {
            Err(SqlError::new(
                3952,
                16,
                format!(
                    "Snapshot isolation transaction failed accessing database '{}' because snapshot isolation is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.",
                    d.name
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// The version of a row that a session sees, or who stands in the way.
pub(super) fn visible(
    slot: &Slot,
    me: i32,
    reading: Reading,
) -> std::result::Result<Option<Row>, i32> {
    match &slot.dirty {
        Some(d) if d.writer != me => match reading {
            Reading::Wait => Err(d.writer),
            Reading::Committed => Ok(d.committed.clone()),
            Reading::Dirty => Ok(slot.cur.clone()),
            Reading::Skip => Ok(None),
        },
        _ => Ok(slot.cur.clone()),
    }
}

/// Locks the row by its unique key, or the table when it has none.
pub(super) fn lock_row(ctx: &mut Ctx<'_>, table: ObjectId, row: &Row) -> Result<()> {
    if table < 0 {
        return Ok(());
    }
    let k = ctx
        .state
        .tables
        .get(&table)
        .and_then(|d| d.indexes.iter().find(|i| i.unique && i.filter.is_none()))
        .and_then(|i| i.key(row));
    match k {
        Some(k) => match ctx.state.locks.key_lock(table, &k, ctx.sess.id) {
            Ok(()) => Ok(()),
            Err(holder) => Err(ctx.state.wait_for(holder)),
        },
        None => lock_table(ctx, table, false),
    }
}

pub(crate) fn lock_table(ctx: &mut Ctx<'_>, table: ObjectId, exclusive: bool) -> Result<()> {
    if table < 0 {
        return Ok(());
    }
    let me = ctx.sess.id;
    if let Err(holder) = ctx.state.locks.table_lock(table, me, exclusive) {
        return Err(ctx.state.wait_for(holder));
    }
    // Rows that others changed and have not committed stand against a table lock too.
    let blocker = ctx.state.tables.get(&table).and_then(|d| {
        d.slots.iter().filter_map(|s| s.dirty.as_ref()).map(|d| d.writer).find(|w| *w != me)
    });
    match blocker {
        Some(holder) => Err(ctx.state.wait_for(holder)),
        None => Ok(()),
    }
}
