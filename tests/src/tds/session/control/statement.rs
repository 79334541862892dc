//! Statements: what each kind does.

use super::*;

impl Runner {
    pub(super) fn statement(&mut self, stmt: &Stmt) -> Result<Flow> {
        let leaf = !matches!(
            stmt.kind,
            StmtKind::If { .. }
                | StmtKind::While { .. }
                | StmtKind::Block(_)
                | StmtKind::Try { .. }
        );
        if leaf {
            self.faults.count(|c| c.statements += 1);
            self.fault(&Point::Statement(String::new()), &stmt.text)?;
        }
        // One statement sees one version of all rows; a whole transaction would need old versions.
        if self.sess.options.isolation == Isolation::Snapshot
            && leaf
            && (self.sess.trancount > 0
                || !matches!(stmt.kind, StmtKind::Set(_) | StmtKind::Query { .. }))
        {
            return Err(unsupported("SNAPSHOT isolation of more than one query"));
        }
        self.reset_rowcount(&stmt.kind);
        match &stmt.kind {
            StmtKind::Query { query, .. } => self.select(query),
            StmtKind::Insert(i) => self.modify(INSERT, |ctx| dml::insert(ctx, i)),
            StmtKind::Update(u) => self.modify(UPDATE, |ctx| dml::update(ctx, u)),
            StmtKind::Delete(d) => self.modify(DELETE, |ctx| dml::delete(ctx, d)),
            StmtKind::Truncate(name) => {
                self.run(|ctx| dml::truncate(ctx, name))?;
                Ok(Flow::Next)
            }
            StmtKind::InsertBulk(b) => {
                let target = self.run(|ctx| BulkTarget::new(ctx, b))?;
                self.bulk = Some(target);
                Ok(Flow::Next)
            }
            StmtKind::Declare(list) => self.declare(list),
            StmtKind::DeclareTable { name, columns, constraints } => {
                self.run(|ctx| {
                    let collation = ctx.database_collation();
                    let object = crate::tds::parse::ast::ObjName::bare(name);
                    ddl::create_temp(ctx, &object, columns, constraints, collation)
                })?;
                Ok(Flow::Next)
            }
            StmtKind::SetVar { name, op, expr } => {
                let v = self.run(|ctx| {
                    let (i, ty) = ctx.variable(name)?;
                    let mut b = Binder::new(ctx);
                    let mut e = b.value(expr)?;
                    if let Some(op) = op {
                        let var = b.value(&Expr::Var(name.clone()))?;
                        e = crate::tds::bind::arithmetic(*op, var, e)?;
                    }
                    let e = crate::tds::bind::assign_cast(e, ty)?;
                    Ok((i, eval::value(ctx, &e, &Env::default())?))
                })?;
                self.sess.vars[v.0].value = v.1;
                self.sess.rowcount = 1;
                Ok(Flow::Next)
            }
            StmtKind::Set(options) => {
                for o in options {
                    self.set_option(o)?;
                }
                Ok(Flow::Next)
            }
            StmtKind::If { condition, then, otherwise } => {
                let yes = self.condition(condition)?;
                self.sess.rowcount = 0;
                if yes {
                    self.guarded(then)
                } else {
                    match otherwise {
                        Some(e) => self.guarded(e),
                        None => Ok(Flow::Next),
                    }
                }
            }
            StmtKind::While { condition, body } => {
                while self.condition(condition)? {
                    match self.guarded(body)? {
                        Flow::Next | Flow::Continue => {}
                        Flow::Break => break,
                        other => return Ok(other),
                    }
                    if self.sess.cancelled() {
                        return self.cancelled();
                    }
                }
                Ok(Flow::Next)
            }
            StmtKind::Block(list) => self.block(list),
            StmtKind::Break => Ok(Flow::Break),
            StmtKind::Continue => Ok(Flow::Continue),
            StmtKind::Return(e) => {
                let n = match e {
                    Some(e) => self.value_as(e, SqlType::Int)?.as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
                    None => 0,
                };
                Ok(Flow::Return(n))
            }
            StmtKind::Try { body, catch } => self.try_catch(body, catch),
            StmtKind::Throw(None) => match self.sess.caught.last() {
                Some(e) => Err(e.clone().reach(Reach::Batch).rethrown()),
                None => Err(SqlError::new(
                    10_704,
                    15,
                    "To rethrow an error, a THROW statement must be used inside a CATCH block. Insert the THROW statement inside a CATCH block, or add error parameters to the THROW statement.",
                )
                .reach(Reach::Batch)),
            },
            StmtKind::Throw(Some((number, message, state))) => {
                let number = self.value_as(number, SqlType::Int)?.as_i64().unwrap_or(0);
                let message = self.value_as(message, SqlType::NVarChar(crate::tds::types::Len::N(2048)))?;
                let state = self.value_as(state, SqlType::Int)?.as_i64().unwrap_or(1);
                if !(50_000..=i64::from(i32::MAX)).contains(&number) {
                    return Err(SqlError::new(
                        35_100,
                        16,
                        format!("Error number {number} in the THROW statement is outside the valid range. Specify an error number in the valid range of 50000 to 2147483647."),
                    )
                    .state(10));
                }
                Err(SqlError::new(i32::try_from(number).unwrap_or(50_000), 16, message.as_str().unwrap_or_default())
                    .state(u8::try_from(state).unwrap_or(1))
                    .reach(Reach::Batch))
            }
            StmtKind::Raiserror { message, severity, state, args, .. } => self.raiserror(message, severity, state, args),
            StmtKind::Print(e) => {
                let v = self.value_as(e, SqlType::NVarChar(crate::tds::types::Len::N(4000)))?;
                let text = v.as_str().unwrap_or(" ").to_owned();
                self.tokens.info(&SqlError::new(0, 0, text).at_line(stmt.line));
                Ok(Flow::Next)
            }
            StmtKind::Begin(name) => {
                self.begin(name.as_deref());
                Ok(Flow::Next)
            }
            StmtKind::Commit => {
                self.commit()?;
                Ok(Flow::Next)
            }
            StmtKind::Rollback(name) => {
                self.rollback(name.as_deref())?;
                Ok(Flow::Next)
            }
            StmtKind::Save(name) => {
                self.save(name)?;
                Ok(Flow::Next)
            }
            StmtKind::ExecString(e) => {
                let text = self.value_as(e, SqlType::NVarChar(crate::tds::types::Len::Max))?;
                let text = text.as_str().unwrap_or_default().to_owned();
                self.nested(&text, Vec::new()).map(|(flow, _)| flow.0)
            }
            StmtKind::ExecProc { result, name, args } => self.exec_proc(result.as_deref(), name, args),
            StmtKind::Use(name) => {
                self.use_database(name)?;
                Ok(Flow::Next)
            }
            StmtKind::WaitFor(e) => {
                let v = self.value_as(e, SqlType::Time(7))?;
                if let Value::Time(t) = v {
                    let end = std::time::Instant::now() + Duration::from_nanos(t * 100);
                    while std::time::Instant::now() < end && !self.sess.cancelled() {
                        let left = end.saturating_duration_since(std::time::Instant::now());
                        std::thread::sleep(left.min(Duration::from_millis(20)));
                    }
                }
                Ok(Flow::Next)
            }
            StmtKind::Ddl(d) => {
                self.run(|ctx| ddl::run(ctx, d))?;
                Ok(Flow::Next)
            }
        }
    }

    /// Statements that leave @@ROWCOUNT at 0.
    pub(super) fn reset_rowcount(&mut self, kind: &StmtKind) {
        if matches!(
            kind,
            StmtKind::Set(_)
                | StmtKind::Use(_)
                | StmtKind::Begin(_)
                | StmtKind::Commit
                | StmtKind::Rollback(_)
                | StmtKind::Save(_)
                | StmtKind::Ddl(_)
                | StmtKind::Truncate(_)
        ) {
            self.sess.rowcount = 0;
        }
    }

    pub(super) fn declare(&mut self, list: &[(String, SqlType, Option<Expr>)]) -> Result<Flow> {
        for (name, ty, init) in list {
            if let Some(i) = self.sess.vars.iter().position(|v| v.name == *name) {
                // A DECLARE in a loop runs again; only two in one text are an error, which the parser cannot see.
                if self.sess.vars[i].ty != *ty {
                    return Err(SqlError::new(
                        134,
                        15,
                        format!("The variable name '{name}' has already been declared. Variable names must be unique within a query batch or stored procedure."),
                    )
                    .reach(Reach::Batch));
                }
            } else {
                self.sess.vars.push(Var { name: name.clone(), ty: *ty, value: Value::Null });
            }
            if let Some(e) = init {
                let v = self.value_as(e, *ty)?;
                self.sess.rowcount = 1;
                if let Some(var) = self.sess.vars.iter_mut().find(|v| v.name == *name) {
                    var.value = v;
                }
            }
        }
        Ok(Flow::Next)
    }

    pub(super) fn set_option(&mut self, o: &SetOption) -> Result<()> {
        match o {
            SetOption::Flag(name, on) => match name.as_str() {
                "XACT_ABORT" => self.sess.options.xact_abort = *on,
                "NOCOUNT" => self.sess.options.nocount = *on,
                "IMPLICIT_TRANSACTIONS" | "FMTONLY" | "NOEXEC" | "PARSEONLY" if *on => {
                    return Err(unsupported(format!("SET {name} ON")));
                }
                "QUOTED_IDENTIFIER"
                | "ANSI_NULLS"
                | "CONCAT_NULL_YIELDS_NULL"
                | "ANSI_WARNINGS"
                | "ANSI_PADDING"
                    if !*on =>
                {
                    return Err(unsupported(format!("SET {name} OFF")));
                }
                _ => {
                    self.sess.options.flags.insert(name.clone(), *on);
                }
            },
            SetOption::LockTimeout(ms) => self.sess.options.lock_timeout = *ms,
            SetOption::DeadlockPriority(p) => {
                self.sess.options.deadlock_priority = *p;
                let (id, p) = (self.sess.id, *p);
                if let Some(info) = self.engine.lock().sessions.get_mut(&id) {
                    info.deadlock_priority = p;
                }
            }
            SetOption::Isolation(level) => self.sess.options.isolation = *level,
            SetOption::IdentityInsert(name, on) => {
                let id = self.run(|ctx| {
                    let (db, def) = crate::tds::bind::find_table(ctx, name)?;
                    ctx.require(db, "ALTER", &def)?;
                    Ok(def.id)
                })?;
                match (self.sess.options.identity_insert, on) {
                    (Some(other), true) if other != id => {
                        return Err(SqlError::new(
                            8107,
                            16,
                            "IDENTITY_INSERT is already ON for another table. Cannot perform SET operation.",
                        ));
                    }
                    (_, true) => self.sess.options.identity_insert = Some(id),
                    (Some(own), false) if own == id => self.sess.options.identity_insert = None,
                    _ => {}
                }
            }
            SetOption::Other => {}
        }
        Ok(())
    }

    pub(super) fn emit(&mut self, mut out: Outcome, command: u16, counted: bool) {
        if let Some(columns) = &mut out.columns {
            for (i, c) in columns.iter_mut().enumerate() {
                if !c.nullable && out.rows.iter().any(|r| r[i].is_null()) {
                    c.nullable = true;
                }
            }
            self.tokens.columns(columns);
            for row in &out.rows {
                self.tokens.row(row, columns);
            }
        }
        let shown = counted && !self.sess.options.nocount;
        if out.columns.is_some() || shown {
            self.tokens.done(command, shown.then_some(out.count));
        }
    }

    pub(super) fn select(&mut self, q: &crate::tds::parse::ast::Query) -> Result<Flow> {
        let into = match &q.body {
            SetExpr::Select(s) => s.into.clone(),
            SetExpr::Op(..) => None,
        };
        if let Some(name) = into {
            return self.modify(SELECT, |ctx| dml::select_into(ctx, q, &name));
        }
        let (out, assigned) = self.run(|ctx| {
            let plan = Binder::new(ctx).query(q)?;
            for (i, c) in plan.columns.iter().enumerate() {
                if let crate::tds::bind::Label::Conflict(..) = c.label {
                    return Err(SqlError::new(
                        451,
                        16,
                        format!(
                            "Cannot resolve collation conflict for column {} in SELECT statement.",
                            i + 1
                        ),
                    )
                    .reach(Reach::Batch));
                }
            }
            let assigned = plan.single().is_some_and(|s| !s.assigns.is_empty());
            let rows = query::rows(ctx, &plan, None)?;
            let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            Ok((Outcome { columns: Some(plan.columns), rows, count }, assigned))
        })?;
        self.sess.rowcount = out.count;
        if assigned {
            if !self.sess.options.nocount {
                self.tokens.done(SELECT, Some(out.count));
            }
        } else {
            self.emit(out, SELECT, true);
        }
        Ok(Flow::Next)
    }

    pub(super) fn modify(
        &mut self,
        command: u16,
        f: impl FnMut(&mut Ctx<'_>) -> Result<Outcome>,
    ) -> Result<Flow> {
        let out = self.run(f)?;
        self.sess.rowcount = out.count;
        self.emit(out, command, true);
        Ok(Flow::Next)
    }

    pub(super) fn raiserror(
        &mut self,
        message: &Expr,
        severity: &Expr,
        state: &Expr,
        args: &[Expr],
    ) -> Result<Flow> {
        let wide = SqlType::NVarChar(crate::tds::types::Len::N(4000));
        let message = self.value_as(message, wide)?;
        let severity = self.value_as(severity, SqlType::Int)?.as_i64().unwrap_or(16);
        let state = self.value_as(state, SqlType::Int)?.as_i64().unwrap_or(1);
        let Some(format) = message.as_str() else {
            return Err(unsupported("RAISERROR of a NULL message"));
        };
        if message.as_str().is_none_or(|s| s.parse::<i64>().is_ok()) {
            return Err(unsupported("RAISERROR with a message number"));
        }
        let mut values = Vec::new();
        for a in args {
            let v = self.run(|ctx| {
                let e = Binder::new(ctx).value(a)?;
                let v = eval::value(ctx, &e, &Env::default())?;
                convert::cast(&v, e.ty, wide, None)
            })?;
            values.push(v.as_str().unwrap_or("(null)").to_owned());
        }
        let text = substitute(format, &values)?;
        let class = u8::try_from(severity.clamp(0, 25)).unwrap_or(16);
        let state = u8::try_from(state.clamp(0, 255)).unwrap_or(1);
        let e = SqlError::new(50_000, class, text).state(state);
        if class <= 10 {
            self.tokens.info(&e);
            return Ok(Flow::Next);
        }
        if class >= 19 && !self.is_sysadmin() {
            return Err(SqlError::new(
                2754,
                16,
                "Error severity levels greater than 18 can only be specified by members of the sysadmin role, using the WITH LOG option.",
            ));
        }
        let reach = if class >= 20 { Reach::Connection } else { Reach::Statement };
        Err(e.reach(reach).into_raised())
    }

    pub(crate) fn is_sysadmin(&self) -> bool {
        self.engine.lock().catalog.login_by_id(self.sess.login).is_some_and(|l| l.sysadmin)
    }
}

/// RAISERROR's `%s`, `%d`, `%i`, `%u`, `%x`, `%%`.
pub(super) fn substitute(format: &str, values: &[String]) -> Result<String> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        while chars
            .peek()
            .is_some_and(|c| matches!(c, '-' | '+' | '#' | '0'..='9' | '.' | 'l' | 'h' | 'I'))
        {
            chars.next();
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some('s' | 'd' | 'i' | 'u' | 'x' | 'X' | 'o') => {
                out.push_str(values.next().map_or("(null)", String::as_str));
            }
            _ => return Err(SqlError::new(2787, 16, "Invalid format specification in RAISERROR.")),
        }
    }
    Ok(out)
}
