//! Transactions of a session, and the scopes of dynamic text.

use super::*;

impl Runner {
    pub(crate) fn begin(&mut self, name: Option<&str>) -> u64 {
        let descriptor = if self.sess.trancount == 0 {
            self.sess.transaction = name.map(ToOwned::to_owned);
            let d = self.engine.lock().begin(self.sess.id);
            self.tokens.began(d);
            d
        } else {
            self.descriptor()
        };
        self.sess.trancount += 1;
        descriptor
    }

    /// The open transaction's descriptor, 0 without one.
    pub(crate) fn descriptor(&self) -> u64 {
        if self.sess.trancount == 0 {
            return 0;
        }
        self.engine.lock().txns.get(&self.sess.id).map_or(0, |t| t.descriptor)
    }

    pub(crate) fn commit(&mut self) -> Result<()> {
        if self.sess.trancount == 0 {
            return Err(SqlError::new(
                3902,
                16,
                "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            ));
        }
        if self.sess.doomed {
            return Err(SqlError::new(
                3930,
                16,
                "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.",
            ));
        }
        if self.sess.trancount > 1 {
            self.sess.trancount -= 1;
            return Ok(());
        }
        self.fault_at(&Point::Commit)?;
        let descriptor = self.descriptor();
        let result = self.engine.lock().commit(self.sess.id);
        self.engine.changed.notify_all();
        self.sess.trancount = 0;
        self.tokens.ended(descriptor, result.is_ok());
        result?;
        self.faults.count(|c| c.commits += 1);
        self.fault_at(&Point::Committed)
    }

    pub(crate) fn rollback(&mut self, name: Option<&str>) -> Result<()> {
        if self.sess.trancount == 0 {
            return Err(SqlError::new(
                3903,
                16,
                "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.",
            ));
        }
        if let Some(name) = name {
            let mut state = self.engine.lock();
            let id = self.sess.id;
            let point = state.txns.get(&id).and_then(|t| {
                t.savepoints.iter().rposition(|(n, _)| crate::tds::engine::catalog::same(n, name))
            });
            if let Some(at) = point {
                if self.sess.doomed {
                    return Err(SqlError::new(
                        3931,
                        16,
                        "The current transaction cannot be committed and cannot be rolled back to a savepoint. Roll back the entire transaction.",
                    ));
                }
                let mark = state.txns.get(&id).map_or(0, |t| t.savepoints[at].1);
                state.rollback_to(id, mark);
                state.locks.let_go(id);
                if let Some(t) = state.txns.get_mut(&id) {
                    t.savepoints.truncate(at + 1);
                }
                drop(state);
                self.engine.changed.notify_all();
                return Ok(());
            }
            drop(state);
            let outermost = self.sess.transaction.as_ref();
            if !outermost.is_some_and(|t| crate::tds::engine::catalog::same(t, name)) {
                return Err(SqlError::new(
                    6401,
                    16,
                    format!(
                        "Cannot roll back {name}. No transaction or savepoint of that name was found."
                    ),
                ));
            }
        }
        self.rollback_all();
        Ok(())
    }

    pub(crate) fn rollback_all(&mut self) {
        if self.sess.trancount == 0 {
            self.sess.doomed = false;
            return;
        }
        let descriptor = self.descriptor();
        self.engine.lock().rollback(self.sess.id);
        self.engine.changed.notify_all();
        self.sess.trancount = 0;
        self.sess.doomed = false;
        self.tokens.ended(descriptor, false);
    }

    pub(crate) fn save(&mut self, name: &str) -> Result<()> {
        if self.sess.trancount == 0 {
            return Err(SqlError::new(
                628,
                16,
                "Cannot issue SAVE TRANSACTION when there is no active transaction.",
            )
            .state(0));
        }
        let mut state = self.engine.lock();
        let mark = state.mark(self.sess.id);
        if let Some(t) = state.txns.get_mut(&self.sess.id) {
            t.savepoints.push((name.to_owned(), mark));
        }
        Ok(())
    }

    pub(crate) fn use_database(&mut self, name: &str) -> Result<()> {
        let catalog = self.engine.lock().catalog.clone();
        let db = catalog.database(name).ok_or_else(|| ddl::no_database(name))?;
        let login = catalog.login_by_id(self.sess.login);
        if login.and_then(|l| permission::user_of(db, l)).is_none() {
            return Err(SqlError::new(
                916,
                14,
                format!(
                    "The server principal \"{}\" is not able to access the database \"{}\" under the current security context.",
                    self.sess.login_name, db.name
                ),
            )
            .reach(Reach::Batch));
        }
        let old = catalog
            .databases
            .iter()
            .find(|d| d.id == self.sess.db)
            .map_or("", |d| &d.name)
            .to_owned();
        self.sess.db = db.id;
        if let Some(info) = self.engine.lock().sessions.get_mut(&self.sess.id) {
            info.database = db.id;
        }
        self.tokens.database(&db.name, &old);
        self.tokens.info(
            &SqlError::new(5701, 0, format!("Changed database context to '{}'.", db.name)).state(2),
        );
        Ok(())
    }

    /// Runs text one level deeper, with its own variables and temporary tables.
    pub(in crate::tds::session) fn nested(
        &mut self,
        text: &str,
        vars: Vec<Var>,
    ) -> Result<(Flow2, Vec<Var>)> {
        if self.sess.nest >= 32 {
            return Err(SqlError::new(
                217,
                16,
                "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit 32).",
            ));
        }
        let outer = std::mem::replace(&mut self.sess.vars, vars);
        // SET and USE inside dynamic text end with it.
        let (options, db) = (self.sess.options.clone(), self.sess.db);
        self.sess.nest += 1;
        let result = crate::tds::parse::batch(text).and_then(|b| {
            first_in_batch(&b)?;
            self.block(&b)
        });
        self.sess.nest -= 1;
        let xact_abort = self.sess.options.xact_abort;
        self.restore(options, db);
        let inner = std::mem::replace(&mut self.sess.vars, outer);
        let depth = self.sess.nest;
        self.drop_temp_above(depth);
        match result {
            Ok(Flow::Return(n)) => Ok((Flow2::returned(n), inner)),
            Ok(Flow::Abort) => {
                // An error of the inner text alone ends only the inner text.
                let scoped = self
                    .escaped
                    .as_ref()
                    .is_some_and(|e| e.reach == Reach::Batch && e.number < 50_000)
                    && !xact_abort;
                if scoped && !self.sess.cancelled() {
                    self.escaped = None;
                    Ok((Flow2(Flow::Next, 1), inner))
                } else {
                    Ok((Flow2(Flow::Abort, 1), inner))
                }
            }
            Ok(_) => Ok((Flow2::returned(0), inner)),
            Err(e) if e.reach == Reach::Batch && e.number < 50_000 => {
                Err(e.reach(Reach::Statement))
            }
            Err(e) => Err(e),
        }
    }

    pub(super) fn restore(&mut self, options: crate::tds::session::SessionOptions, db: i32) {
        let priority = options.deadlock_priority;
        self.sess.options = options;
        let mut state = self.engine.lock();
        let mut moved = None;
        if self.sess.db != db {
            let name = |id: i32| {
                state.catalog.databases.iter().find(|d| d.id == id).map(|d| d.name.clone())
            };
            moved = name(db).zip(name(self.sess.db));
            self.sess.db = db;
        }
        if let Some(info) = state.sessions.get_mut(&self.sess.id) {
            info.deadlock_priority = priority;
            info.database = db;
        }
        drop(state);
        if let Some((back, from)) = moved {
            self.tokens.database(&back, &from);
        }
    }

    /// Drops temporary tables of scopes that have ended.
    pub(super) fn drop_temp_above(&mut self, depth: u32) {
        let mut state = self.engine.lock();
        let id = self.sess.id;
        let in_transaction = self.sess.trancount > 0;
        let Some(tables) = state.temp.get(&id) else { return };
        // A table variable of the batch itself ends with the batch.
        let at_end = self.batch_over;
        let ended = |name: &str, nest: u32| nest > depth || (at_end && name.starts_with('@'));
        let gone: Vec<String> = tables
            .iter()
            .filter(|(name, (_, nest))| ended(name, *nest))
            .map(|(name, _)| name.clone())
            .collect();
        if gone.is_empty() {
            return;
        }
        let before = tables.clone();
        if in_transaction {
            // A rollback must not bring back tables of a scope that is gone, only rows of the others.
            let mut kept = before;
            kept.retain(|n, _| !gone.contains(n));
            state.push_undo(id, Undo::Temp(id, kept));
        }
        for name in gone {
            let removed = state.temp.get_mut(&id).and_then(|m| m.remove(&name));
            if let Some((def, _)) = removed
                && !in_transaction
            {
                state.tables.remove(&def.id);
            }
        }
    }
}
