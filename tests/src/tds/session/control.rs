//! Runs batches: control flow, transactions, TRY/CATCH, what an error does.

mod statement;
mod transaction;

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
use crate::tds::faults::{Action, Faults, Point, errors_of};
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
            Action::Error { .. } | Action::Errors(_) => self.raise(errors_of(&action)),
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

    /// Sends all errors of a statement; the last one is what ends it.
    fn raise(&mut self, errors: Vec<SqlError>) -> Result<()> {
        let mut ended = Ok(());
        for error in errors {
            if error.class <= 10 {
                self.tokens.info(&error);
            } else if let Err(earlier) = std::mem::replace(&mut ended, Err(error)) {
                self.report(&earlier);
            }
        }
        ended
    }

    pub(crate) fn fault_at(&mut self, point: &Point) -> Result<()> {
        self.fault(point, "")
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
