//! Runs batches: control flow, transactions, TRY/CATCH, what an error does.

use std::sync::Arc;
use std::time::Duration;

use super::bulk::BulkTarget;
use super::driver::{self, Patience};
use super::{CANCELLED, Session, Var};
use crate::tds::bind::Binder;
use crate::tds::engine::permission;
use crate::tds::engine::state::Engine;
use crate::tds::engine::txn::Undo;
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::exec::dml::{self, Outcome};
use crate::tds::exec::{Ctx, Env, ddl, eval, query};
use crate::tds::faults::{Action, Faults, Point, error_of};
use crate::tds::net::tokens::{DELETE, INSERT, SELECT, Tokens, UPDATE};
use crate::tds::parse::ast::{Ddl, Expr, Isolation, SetExpr, SetOption, Stmt, StmtKind};
use crate::tds::types::{SqlType, Value, convert};

/// What becomes of the answer once the batch has run.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Close the connection instead of answering.
    pub(crate) drop: bool,
    /// Close the connection after answering.
    pub(crate) close: bool,
    pub(crate) hold: Option<String>,
    pub(crate) delay: Duration,
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
    Return(i32),
    /// The batch is over; its error was sent.
    Abort,
}

/// A session with its server and its answer.
pub(crate) struct Runner {
    pub(crate) engine: Arc<Engine>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) sess: Session,
    pub(crate) tokens: Tokens,
    pub(crate) answer: Answer,
    pub(crate) bulk: Option<BulkTarget>,
    /// The Attention that follows was answered with the request it cancelled.
    pub(crate) attention_answered: bool,
    try_depth: u32,
    /// The text of the batch has run; what ends with it may go.
    batch_over: bool,
    /// The error that ended the batch, for the caller of a nested one.
    escaped: Option<SqlError>,
}

impl Runner {
    pub(crate) fn new(
        engine: Arc<Engine>,
        faults: Arc<Faults>,
        sess: Session,
        tokens: Tokens,
    ) -> Runner {
        Runner {
            engine,
            faults,
            sess,
            tokens,
            answer: Answer::default(),
            bulk: None,
            attention_answered: false,
            try_depth: 0,
            batch_over: false,
            escaped: None,
        }
    }

    /// A SQL batch from the client.
    pub(crate) fn batch(&mut self, text: &str) {
        self.bulk = None;
        self.faults.log(text);
        self.start();
        self.top_level(text);
        self.end_of_batch();
        self.tokens.finish_batch();
    }

    pub(crate) fn start(&mut self) {
        self.faults.count(|c| c.requests += 1);
        self.sess.vars.clear();
        self.sess.caught.clear();
        self.try_depth = 0;
        self.escaped = None;
    }

    /// Runs text at the outermost level; returns the value of RETURN.
    pub(crate) fn top_level(&mut self, text: &str) -> i32 {
        match crate::tds::parse::batch(text).and_then(|b| first_in_batch(&b).map(|()| b)) {
            Ok(list) => match self.block(&list) {
                Ok(Flow::Return(n)) => n,
                Ok(Flow::Abort) => 1,
                Ok(_) => 0,
                Err(e) => {
                    self.report(&e);
                    e.number.max(1)
                }
            },
            Err(e) => {
                self.report(&e);
                e.number.max(1)
            }
        }
    }

    /// A transaction that cannot commit does not outlive its batch.
    pub(crate) fn end_of_batch(&mut self) {
        if self.sess.doomed {
            self.rollback_all();
            if !self.sess.cancelled() {
                self.report(&SqlError::new(
                    3998,
                    16,
                    "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.",
                ));
            }
        }
        self.batch_over = true;
        self.drop_temp_above(0);
        self.batch_over = false;
    }

    /// Sends an error and remembers its number.
    pub(crate) fn report(&mut self, e: &SqlError) {
        if e.number == CANCELLED {
            return;
        }
        self.sess.last_error = e.number;
        self.tokens.error(e);
        if e.class >= 20 {
            self.answer.close = true;
        }
    }

    fn block(&mut self, list: &[Stmt]) -> Result<Flow> {
        for stmt in list {
            match self.guarded(stmt)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    /// Runs a statement; outside TRY its error is dealt with here.
    fn guarded(&mut self, stmt: &Stmt) -> Result<Flow> {
        if self.sess.cancelled() {
            return self.cancelled();
        }
        let e = match self.statement(stmt) {
            Ok(flow) => {
                if !matches!(
                    stmt.kind,
                    StmtKind::If { .. }
                        | StmtKind::While { .. }
                        | StmtKind::Block(_)
                        | StmtKind::Try { .. }
                ) {
                    self.sess.last_error = 0;
                }
                return Ok(flow);
            }
            Err(e) => e.at_line(stmt.line),
        };
        if e.number == CANCELLED {
            return self.cancelled();
        }
        if self.try_depth > 0 {
            return Err(e);
        }
        let rollback = self.sess.trancount > 0
            && (e.reach >= Reach::Transaction || (self.sess.options.xact_abort && !e.raised()));
        let abort = e.reach != Reach::Statement || (self.sess.options.xact_abort && !e.raised());
        self.report(&e);
        self.sess.rowcount = 0;
        if rollback {
            self.rollback_all();
        }
        if abort {
            self.escaped = Some(e);
            return Ok(Flow::Abort);
        }
        if e.reach == Reach::Statement
            && !e.raised()
            && matches!(e.number, 515 | 547 | 2601 | 2627 | 2628 | 8115 | 8134 | 220)
        {
            self.tokens.info(
                &SqlError::new(3621, 0, "The statement has been terminated.")
                    .state(0)
                    .at_line(stmt.line),
            );
        }
        self.tokens.done(0xfd, None);
        Ok(Flow::Next)
    }

    fn cancelled(&mut self) -> Result<Flow> {
        if self.sess.options.xact_abort && self.sess.trancount > 0 {
            self.rollback_all();
        }
        Ok(Flow::Abort)
    }

    /// Runs a closure as one statement, waiting for locks.
    pub(crate) fn run<T>(&mut self, f: impl FnMut(&mut Ctx<'_>) -> Result<T>) -> Result<T> {
        driver::run(&self.engine, &mut self.sess, Patience::Session, f).map(|r| r.value)
    }

    fn condition(&mut self, e: &Expr) -> Result<bool> {
        self.run(|ctx| {
            let p = Binder::new(ctx).predicate(e)?;
            Ok(eval::truth(ctx, &p, &Env::default())? == Some(true))
        })
    }

    /// The value of an expression as a type.
    pub(crate) fn value_as(&mut self, e: &Expr, ty: SqlType) -> Result<Value> {
        self.run(|ctx| {
            let e = Binder::new(ctx).value(e)?;
            let e = crate::tds::bind::assign_cast(e, ty)?;
            eval::value(ctx, &e, &Env::default())
        })
    }

    fn fault(&mut self, point: &Point, text: &str) -> Result<()> {
        let Some(action) = self.faults.strike(point, text) else { return Ok(()) };
        match action {
            Action::Error { number, class, state, message } => {
                Err(error_of(number, class, state, &message))
            }
            Action::Hold(name) => {
                self.faults.hold(&name);
                Ok(())
            }
            Action::Delay(ms) => {
                std::thread::sleep(Duration::from_millis(ms));
                Ok(())
            }
            Action::HoldAnswer(name) => {
                self.answer.hold = Some(name);
                Ok(())
            }
            Action::DelayAnswer(ms) => {
                self.answer.delay = Duration::from_millis(ms);
                Ok(())
            }
            Action::DropAnswer => {
                self.answer.drop = true;
                Ok(())
            }
            Action::Cut => {
                self.answer.drop = true;
                Err(SqlError::new(CANCELLED, 20, "cut").reach(Reach::Connection))
            }
        }
    }

    pub(crate) fn fault_at(&mut self, point: &Point) -> Result<()> {
        self.fault(point, "")
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<Flow> {
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
        if self.sess.options.isolation == Isolation::Snapshot
            && leaf
            && !matches!(stmt.kind, StmtKind::Set(_))
        {
            return Err(unsupported("SNAPSHOT isolation"));
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
    fn reset_rowcount(&mut self, kind: &StmtKind) {
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

    fn declare(&mut self, list: &[(String, SqlType, Option<Expr>)]) -> Result<Flow> {
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

    fn set_option(&mut self, o: &SetOption) -> Result<()> {
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

    fn emit(&mut self, mut out: Outcome, command: u16, counted: bool) {
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

    fn select(&mut self, q: &crate::tds::parse::ast::Query) -> Result<Flow> {
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

    fn modify(
        &mut self,
        command: u16,
        f: impl FnMut(&mut Ctx<'_>) -> Result<Outcome>,
    ) -> Result<Flow> {
        let out = self.run(f)?;
        self.sess.rowcount = out.count;
        self.emit(out, command, true);
        Ok(Flow::Next)
    }

    fn try_catch(&mut self, body: &[Stmt], catch: &[Stmt]) -> Result<Flow> {
        self.try_depth += 1;
        let tried = self.block(body);
        self.try_depth -= 1;
        let e = match tried {
            Ok(flow) => return Ok(flow),
            Err(e) => e,
        };
        if !e.catchable() {
            return Err(e);
        }
        if self.sess.trancount > 0
            && (e.reach == Reach::Transaction || (self.sess.options.xact_abort && !e.raised()))
        {
            if e.number == 1205 {
                self.sess.doomed = true;
            }
            self.sess.doomed = true;
        }
        self.sess.last_error = e.number;
        self.sess.caught.push(e);
        let flow = self.block(catch);
        self.sess.caught.pop();
        flow
    }

    fn raiserror(
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
    pub(super) fn nested(&mut self, text: &str, vars: Vec<Var>) -> Result<(Flow2, Vec<Var>)> {
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

    fn restore(&mut self, options: super::SessionOptions, db: i32) {
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
    fn drop_temp_above(&mut self, depth: u32) {
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

/// The flow of a nested text and its return value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow2(pub(super) Flow, pub(super) i32);

impl Flow2 {
    fn returned(n: i32) -> Flow2 {
        Flow2(Flow::Next, n)
    }
}

/// CREATE SCHEMA and CREATE VIEW stand alone.
fn first_in_batch(list: &[Stmt]) -> Result<()> {
    fn name(s: &Stmt) -> Option<&'static str> {
        match &s.kind {
            StmtKind::Ddl(Ddl::CreateSchema { .. }) => Some("CREATE SCHEMA"),
            StmtKind::Ddl(Ddl::CreateView { .. }) => Some("CREATE VIEW"),
            _ => None,
        }
    }
    fn inside(s: &Stmt) -> Option<&'static str> {
        name(s).or_else(|| match &s.kind {
            StmtKind::If { then, otherwise, .. } => {
                inside(then).or_else(|| otherwise.as_ref().and_then(|o| inside(o)))
            }
            StmtKind::While { body, .. } => inside(body),
            StmtKind::Block(list) => list.iter().find_map(inside),
            StmtKind::Try { body, catch } => body.iter().chain(catch).find_map(inside),
            _ => None,
        })
    }
    for (i, s) in list.iter().enumerate() {
        let nested = if i == 0 && name(s).is_some() { None } else { inside(s) };
        if let Some(what) = nested {
            return Err(SqlError::new(
                111,
                15,
                format!("'{what}' must be the first statement in a query batch."),
            )
            .reach(Reach::Batch)
            .at_line(s.line));
        }
    }
    Ok(())
}

/// RAISERROR's `%s`, `%d`, `%i`, `%u`, `%x`, `%%`.
fn substitute(format: &str, values: &[String]) -> Result<String> {
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
