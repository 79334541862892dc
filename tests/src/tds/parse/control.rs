//! Statements that steer a batch: variables, SET, IF, TRY, transactions, EXEC.

use super::Parser;
use super::ast::{ExecArg, Expr, Isolation, ObjName, SetOption, Stmt, StmtKind};
use super::lexer::TokenKind;
use super::query::assignment_op;
use crate::tds::error::{Result, unsupported};

/// On/off options of SET that are stored or change nothing here.
const FLAGS: [&str; 17] = [
    "XACT_ABORT",
    "NOCOUNT",
    "ANSI_NULLS",
    "ANSI_PADDING",
    "ANSI_WARNINGS",
    "ANSI_DEFAULTS",
    "ANSI_NULL_DFLT_ON",
    "ARITHABORT",
    "ARITHIGNORE",
    "CONCAT_NULL_YIELDS_NULL",
    "CURSOR_CLOSE_ON_COMMIT",
    "IMPLICIT_TRANSACTIONS",
    "NUMERIC_ROUNDABORT",
    "QUOTED_IDENTIFIER",
    "FMTONLY",
    "NOEXEC",
    "PARSEONLY",
];

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Result<Stmt> {
        self.enter()?;
        let (line, start) = (self.line(), self.at);
        let kind = self.statement_kind().map_err(|e| e.at_line(line))?;
        let text = self.text_since(start).into();
        self.eat(";");
        self.leave();
        Ok(Stmt { line, text, kind })
    }

    fn statement_kind(&mut self) -> Result<StmtKind> {
        if self.at_query() && !self.is_word("WITH") {
            return self.query_statement(Vec::new());
        }
        let word = match self.peek() {
            TokenKind::Word(w) => w.to_ascii_uppercase(),
            _ => return Err(self.unexpected()),
        };
        match word.as_str() {
            "WITH" => {
                let ctes = self.ctes()?;
                if self.is_word("INSERT") {
                    self.insert(ctes)
                } else if self.is_word("UPDATE") {
                    self.update(ctes)
                } else if self.is_word("DELETE") {
                    self.delete(ctes)
                } else {
                    self.query_statement(ctes)
                }
            }
            "INSERT" => self.insert(Vec::new()),
            "UPDATE" => self.update(Vec::new()),
            "DELETE" => self.delete(Vec::new()),
            "MERGE" => Err(unsupported("MERGE")),
            "TRUNCATE" => {
                self.next();
                self.expect_word("TABLE")?;
                Ok(StmtKind::Truncate(self.obj_name()?))
            }
            "DECLARE" => self.declare(),
            "SET" => self.set(),
            "IF" => {
                self.next();
                let condition = self.expr()?;
                let then = Box::new(self.statement()?);
                let otherwise =
                    if self.eat_word("ELSE") { Some(Box::new(self.statement()?)) } else { None };
                Ok(StmtKind::If { condition, then, otherwise })
            }
            "WHILE" => {
                self.next();
                let condition = self.expr()?;
                Ok(StmtKind::While { condition, body: Box::new(self.statement()?) })
            }
            "BREAK" => self.just(StmtKind::Break),
            "CONTINUE" => self.just(StmtKind::Continue),
            "RETURN" => {
                self.next();
                let value = match self.peek() {
                    TokenKind::Number(_) | TokenKind::Var(_) | TokenKind::Punct("(" | "-") => {
                        Some(self.expr()?)
                    }
                    _ => None,
                };
                Ok(StmtKind::Return(value))
            }
            "BEGIN" => self.begin(),
            "COMMIT" | "ROLLBACK" | "SAVE" => self.end_transaction(&word),
            "THROW" => {
                self.next();
                if self.is(";") || self.at_end() || self.is_word("END") {
                    return Ok(StmtKind::Throw(None));
                }
                let number = self.expr()?;
                self.expect(",")?;
                let message = self.expr()?;
                self.expect(",")?;
                Ok(StmtKind::Throw(Some((number, message, self.expr()?))))
            }
            "RAISERROR" => self.raiserror(),
            "PRINT" => {
                self.next();
                Ok(StmtKind::Print(self.expr()?))
            }
            "EXEC" | "EXECUTE" => self.exec(),
            "USE" => {
                self.next();
                Ok(StmtKind::Use(self.ident()?))
            }
            "WAITFOR" => {
                self.next();
                self.expect_word("DELAY")?;
                Ok(StmtKind::WaitFor(self.expr()?))
            }
            "CREATE" | "ALTER" | "DROP" => self.ddl(),
            "GRANT" | "DENY" | "REVOKE" => self.grant(),
            "GO" => Err(self.unexpected()),
            _ => {
                // A batch may start with a procedure's name, without EXEC.
                if self.at == 0 && self.is_ident() {
                    return self.exec_proc(None);
                }
                Err(self.unexpected())
            }
        }
    }

    fn just(&mut self, kind: StmtKind) -> Result<StmtKind> {
        self.next();
        Ok(kind)
    }

    fn query_statement(&mut self, ctes: Vec<super::ast::Cte>) -> Result<StmtKind> {
        let query = self.query_after(ctes)?;
        self.options()?;
        Ok(StmtKind::Query { query })
    }

    fn declare(&mut self) -> Result<StmtKind> {
        self.next();
        let mut out = Vec::new();
        loop {
            let name = self.variable()?;
            self.eat_word("AS");
            if self.is_word("TABLE") {
                self.next();
                let (columns, constraints) = self.table_elements()?;
                return Ok(StmtKind::DeclareTable { name, columns, constraints });
            }
            if self.is_word("CURSOR") {
                return Err(unsupported("cursors"));
            }
            let ty = self.data_type()?;
            let value = if self.eat("=") { Some(self.expr()?) } else { None };
            out.push((name, ty, value));
            if !self.eat(",") {
                return Ok(StmtKind::Declare(out));
            }
        }
    }

    fn set(&mut self) -> Result<StmtKind> {
        self.next();
        if matches!(self.peek(), TokenKind::Var(_)) {
            let name = self.variable()?;
            let op = assignment_op(self.peek()).ok_or_else(|| self.unexpected())?;
            self.next();
            return Ok(StmtKind::SetVar { name, op, expr: self.expr()? });
        }
        let word = self.any_word()?;
        match word.as_str() {
            "LOCK_TIMEOUT" => Ok(StmtKind::Set(vec![SetOption::LockTimeout(self.integer()?)])),
            "DEADLOCK_PRIORITY" => {
                let priority = match self.peek() {
                    TokenKind::Word(_) => match self.any_word()?.as_str() {
                        "LOW" => -5,
                        "NORMAL" => 0,
                        "HIGH" => 5,
                        other => return Err(unsupported(format!("DEADLOCK_PRIORITY {other}"))),
                    },
                    _ => i32::try_from(self.integer()?).unwrap_or(0),
                };
                Ok(StmtKind::Set(vec![SetOption::DeadlockPriority(priority)]))
            }
            "TRANSACTION" => {
                self.expect_word("ISOLATION")?;
                self.expect_word("LEVEL")?;
                let level = if self.eat_words(&["READ", "UNCOMMITTED"]) {
                    Isolation::ReadUncommitted
                } else if self.eat_words(&["READ", "COMMITTED"]) {
                    Isolation::ReadCommitted
                } else if self.eat_words(&["REPEATABLE", "READ"]) {
                    Isolation::RepeatableRead
                } else if self.eat_word("SERIALIZABLE") {
                    Isolation::Serializable
                } else if self.eat_word("SNAPSHOT") {
                    Isolation::Snapshot
                } else {
                    return Err(self.unexpected());
                };
                Ok(StmtKind::Set(vec![SetOption::Isolation(level)]))
            }
            "IDENTITY_INSERT" => {
                let name = self.obj_name()?;
                let on = self.on_off()?;
                Ok(StmtKind::Set(vec![SetOption::IdentityInsert(name, on)]))
            }
            "TEXTSIZE" | "DATEFIRST" => {
                // Only what changes nothing: no limit, and weeks that start on Sunday.
                if !matches!(
                    (word.as_str(), self.integer()?),
                    ("TEXTSIZE", -1 | 0 | 2_147_483_647) | ("DATEFIRST", 7)
                ) {
                    return Err(unsupported(format!("SET {word} with this value")));
                }
                Ok(StmtKind::Set(vec![SetOption::Other]))
            }
            "ROWCOUNT" => {
                if self.integer()? != 0 {
                    return Err(unsupported("SET ROWCOUNT"));
                }
                Ok(StmtKind::Set(vec![SetOption::Other]))
            }
            "DATEFORMAT" => {
                // Dates are read year first; other texts are refused when they are converted.
                let order = self.any_word()?;
                if order != "YMD" {
                    return Err(unsupported(format!("SET DATEFORMAT {order}")));
                }
                Ok(StmtKind::Set(vec![SetOption::Other]))
            }
            "LANGUAGE" => {
                let language = if self.is_ident() { self.ident()? } else { self.string()? };
                if !matches!(language.to_ascii_lowercase().as_str(), "us_english" | "english") {
                    return Err(unsupported(format!("SET LANGUAGE {language}")));
                }
                Ok(StmtKind::Set(vec![SetOption::Other]))
            }
            _ => {
                let mut names = vec![word];
                while self.eat(",") {
                    names.push(self.any_word()?);
                }
                let on = self.on_off()?;
                let mut out = Vec::new();
                for name in names {
                    if !FLAGS.contains(&name.as_str()) {
                        return Err(unsupported(format!("SET {name}")));
                    }
                    out.push(SetOption::Flag(name, on));
                }
                Ok(StmtKind::Set(out))
            }
        }
    }

    pub(super) fn on_off(&mut self) -> Result<bool> {
        if self.eat_word("ON") {
            Ok(true)
        } else {
            self.expect_word("OFF")?;
            Ok(false)
        }
    }

    fn begin(&mut self) -> Result<StmtKind> {
        self.next();
        if self.eat_word("TRAN") || self.eat_word("TRANSACTION") {
            let name = self.transaction_name()?;
            if self.eat_word("WITH") {
                return Err(unsupported("BEGIN TRANSACTION WITH MARK"));
            }
            return Ok(StmtKind::Begin(name));
        }
        if self.is_word("DISTRIBUTED") {
            return Err(unsupported("distributed transactions"));
        }
        if self.eat_word("TRY") {
            let body = self.statements_until("TRY")?;
            self.expect_word("BEGIN")?;
            self.expect_word("CATCH")?;
            let catch = self.statements_until("CATCH")?;
            return Ok(StmtKind::Try { body, catch });
        }
        let body = self.statements_until("")?;
        if body.is_empty() {
            return Err(self.unexpected());
        }
        Ok(StmtKind::Block(body))
    }

    /// Statements up to `END [word]`.
    fn statements_until(&mut self, word: &str) -> Result<Vec<Stmt>> {
        let mut out = Vec::new();
        loop {
            while self.eat(";") {}
            if self.is_word("END") && (word.is_empty() || self.is_word_at(1, word)) {
                self.next();
                if !word.is_empty() {
                    self.next();
                    // `END TRY;` is an error on the server; here `;` before BEGIN CATCH would not parse either.
                }
                return Ok(out);
            }
            if self.at_end() {
                return Err(self.unexpected());
            }
            out.push(self.statement()?);
        }
    }

    fn transaction_name(&mut self) -> Result<Option<String>> {
        if let TokenKind::Var(_) = self.peek() {
            return Err(unsupported("a transaction name in a variable"));
        }
        if self.is_ident() {
            return Ok(Some(self.ident()?));
        }
        Ok(None)
    }

    fn end_transaction(&mut self, word: &str) -> Result<StmtKind> {
        self.next();
        let tran = self.eat_word("TRAN") || self.eat_word("TRANSACTION");
        if word == "SAVE" {
            if !tran {
                return Err(self.unexpected());
            }
            return Ok(StmtKind::Save(self.ident()?));
        }
        let name = if tran {
            self.transaction_name()?
        } else {
            self.eat_word("WORK");
            None
        };
        if self.is_word("WITH") && self.is_word_at(1, "(") {
            return Err(unsupported("COMMIT WITH (DELAYED_DURABILITY)"));
        }
        Ok(if word == "COMMIT" { StmtKind::Commit } else { StmtKind::Rollback(name) })
    }

    fn raiserror(&mut self) -> Result<StmtKind> {
        self.next();
        self.expect("(")?;
        let message = self.expr()?;
        self.expect(",")?;
        let severity = self.expr()?;
        self.expect(",")?;
        let state = self.expr()?;
        let mut args = Vec::new();
        while self.eat(",") {
            args.push(self.expr()?);
        }
        self.expect(")")?;
        if self.eat_word("WITH") {
            loop {
                match self.any_word()?.as_str() {
                    "NOWAIT" | "LOG" => {}
                    other => return Err(unsupported(format!("RAISERROR WITH {other}"))),
                }
                if !self.eat(",") {
                    break;
                }
            }
        }
        Ok(StmtKind::Raiserror { message, severity, state, args })
    }

    fn exec(&mut self) -> Result<StmtKind> {
        self.next();
        if self.eat("(") {
            let text = self.expr()?;
            if self.is(",") {
                return Err(unsupported("EXEC ('...', argument)"));
            }
            self.expect(")")?;
            if self.is_word("AT") || (self.is_word("AS") && !self.is_word_at(1, "SELECT")) {
                return Err(unsupported("EXEC (...) AS or AT"));
            }
            return Ok(StmtKind::ExecString(text));
        }
        if self.is_word("AS") {
            return Err(unsupported("EXECUTE AS"));
        }
        let mut result = None;
        if matches!(self.peek(), TokenKind::Var(_)) {
            let v = self.variable()?;
            if !self.eat("=") {
                return Err(unsupported("EXEC of a procedure whose name is in a variable"));
            }
            result = Some(v);
        }
        self.exec_proc(result)
    }

    fn exec_proc(&mut self, result: Option<String>) -> Result<StmtKind> {
        let name: ObjName = self.obj_name()?;
        let mut args = Vec::new();
        if !self.at_end() && !self.is(";") && self.starts_argument() {
            loop {
                args.push(self.exec_arg()?);
                if !self.eat(",") {
                    break;
                }
            }
        }
        Ok(StmtKind::ExecProc { result, name, args })
    }

    fn starts_argument(&self) -> bool {
        match self.peek() {
            TokenKind::Var(_)
            | TokenKind::SysVar(_)
            | TokenKind::Str(_)
            | TokenKind::NStr(_)
            | TokenKind::Number(_)
            | TokenKind::Hex(_)
            | TokenKind::Quoted(_)
            | TokenKind::Punct("-" | "+") => true,
            TokenKind::Word(w) => {
                w.eq_ignore_ascii_case("NULL")
                    || w.eq_ignore_ascii_case("DEFAULT")
                    || self.is_ident()
            }
            _ => false,
        }
    }

    fn exec_arg(&mut self) -> Result<ExecArg> {
        let mut name = None;
        if matches!(self.peek(), TokenKind::Var(_))
            && matches!(self.peek_at(1), TokenKind::Punct("="))
        {
            name = Some(self.variable()?);
            self.next();
        }
        let value = match self.peek().clone() {
            // A bare word is a string.
            TokenKind::Word(w) if self.is_ident() => {
                self.next();
                Expr::NStr(w)
            }
            TokenKind::Quoted(w) => {
                self.next();
                Expr::NStr(w)
            }
            TokenKind::Punct("-" | "+") => {
                let n = self.integer()?;
                Expr::Number(n.to_string())
            }
            TokenKind::Number(n) => {
                self.next();
                Expr::Number(n)
            }
            TokenKind::Str(s) => {
                self.next();
                Expr::Str(s)
            }
            TokenKind::NStr(s) => {
                self.next();
                Expr::NStr(s)
            }
            TokenKind::Hex(b) => {
                self.next();
                Expr::Hex(b)
            }
            TokenKind::Var(v) => {
                self.next();
                Expr::Var(v.to_ascii_lowercase())
            }
            TokenKind::SysVar(v) => {
                self.next();
                Expr::SysVar(v.to_ascii_lowercase())
            }
            _ if self.eat_word("NULL") => Expr::Null,
            _ if self.eat_word("DEFAULT") => Expr::Default,
            _ => return Err(self.unexpected()),
        };
        let output = self.eat_word("OUTPUT") || self.eat_word("OUT");
        Ok(ExecArg { name, value, output })
    }
}
