//! INSERT, UPDATE, DELETE, INSERT BULK.

use super::Parser;
use super::ast::{
    Assignment, BulkColumn, Cte, Delete, Insert, InsertBulk, InsertSource, Output, StmtKind,
    Target, Update,
};
use super::lexer::TokenKind;
use super::query::assignment_op;
use crate::tds::error::{Result, unsupported};

impl Parser<'_> {
    pub(super) fn insert(&mut self, ctes: Vec<Cte>) -> Result<StmtKind> {
        self.expect_word("INSERT")?;
        if self.is_word("BULK") {
            return self.insert_bulk();
        }
        if self.is_word("TOP") {
            return Err(unsupported("INSERT TOP"));
        }
        self.eat_word("INTO");
        let target = self.target()?;
        let columns = if self.is("(") && !self.at_query() { Some(self.name_list()?) } else { None };
        let output = self.output()?;
        let source = if self.eat_word("VALUES") {
            InsertSource::Values(self.value_rows()?)
        } else if self.eat_words(&["DEFAULT", "VALUES"]) {
            InsertSource::Defaults
        } else if self.is_word("EXEC") || self.is_word("EXECUTE") {
            return Err(unsupported("INSERT ... EXEC"));
        } else {
            InsertSource::Query(Box::new(self.query()?))
        };
        self.options()?;
        Ok(StmtKind::Insert(Insert { ctes, target, columns, output, source }))
    }

    fn target(&mut self) -> Result<Target> {
        if let TokenKind::Var(v) = self.peek().clone() {
            self.next();
            return Ok(Target::Variable(v.to_ascii_lowercase()));
        }
        let name = self.obj_name()?;
        let hints = self.table_hints()?;
        Ok(Target::Table(name, hints))
    }

    fn output(&mut self) -> Result<Option<Output>> {
        if !self.eat_word("OUTPUT") {
            return Ok(None);
        }
        let mut items = vec![self.item()?];
        while self.eat(",") {
            items.push(self.item()?);
        }
        let mut into = None;
        if self.eat_word("INTO") {
            let target = self.target()?;
            let columns =
                if self.is("(") && !self.at_query() { Some(self.name_list()?) } else { None };
            into = Some((target, columns));
        }
        Ok(Some(Output { items, into }))
    }

    pub(super) fn update(&mut self, ctes: Vec<Cte>) -> Result<StmtKind> {
        self.expect_word("UPDATE")?;
        if self.is_word("STATISTICS") {
            return Err(unsupported("UPDATE STATISTICS"));
        }
        let top = self.top()?;
        let target = self.target()?;
        self.expect_word("SET")?;
        let mut sets = Vec::new();
        loop {
            sets.push(self.assignment()?);
            if !self.eat(",") {
                break;
            }
        }
        let output = self.output()?;
        let from = if self.eat_word("FROM") { self.table_list()? } else { Vec::new() };
        let filter = if self.eat_word("WHERE") { Some(self.expr()?) } else { None };
        self.options()?;
        Ok(StmtKind::Update(Update { ctes, top, target, sets, output, from, filter }))
    }

    fn assignment(&mut self) -> Result<Assignment> {
        let mut variable = None;
        if matches!(self.peek(), TokenKind::Var(_)) {
            variable = Some(self.variable()?);
            let op = assignment_op(self.peek()).ok_or_else(|| self.unexpected())?;
            self.next();
            // `@v = column = expression`
            let column_next = self.is_ident() && matches!(self.peek_at(1), TokenKind::Punct("="));
            if !column_next || op.is_some() {
                return Ok(Assignment { variable, column: None, op, expr: self.expr()? });
            }
        }
        let mut column = self.ident()?;
        while self.eat(".") {
            column = self.ident()?;
        }
        let op = assignment_op(self.peek()).ok_or_else(|| self.unexpected())?;
        self.next();
        Ok(Assignment { variable, column: Some(column), op, expr: self.expr()? })
    }

    pub(super) fn delete(&mut self, ctes: Vec<Cte>) -> Result<StmtKind> {
        self.expect_word("DELETE")?;
        let top = self.top()?;
        self.eat_word("FROM");
        let target = self.target()?;
        let output = self.output()?;
        let from = if self.eat_word("FROM") { self.table_list()? } else { Vec::new() };
        let filter = if self.eat_word("WHERE") { Some(self.expr()?) } else { None };
        self.options()?;
        Ok(StmtKind::Delete(Delete { ctes, top, target, output, from, filter }))
    }

    fn insert_bulk(&mut self) -> Result<StmtKind> {
        self.expect_word("BULK")?;
        let table = self.obj_name()?;
        self.expect("(")?;
        let mut columns = Vec::new();
        loop {
            let name = self.ident()?;
            let ty = self.data_type()?;
            let collation = if self.eat_word("COLLATE") { Some(self.ident()?) } else { None };
            columns.push(BulkColumn { name, ty, collation });
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        let mut bulk = InsertBulk {
            table,
            columns,
            check_constraints: false,
            keep_nulls: false,
            tablock: false,
        };
        if self.eat_word("WITH") {
            self.expect("(")?;
            loop {
                match self.any_word()?.as_str() {
                    "CHECK_CONSTRAINTS" => bulk.check_constraints = true,
                    "KEEP_NULLS" => bulk.keep_nulls = true,
                    "TABLOCK" => bulk.tablock = true,
                    "FIRE_TRIGGERS" => {}
                    "ROWS_PER_BATCH" | "KILOBYTES_PER_BATCH" => {
                        self.expect("=")?;
                        self.integer()?;
                    }
                    "ORDER" => {
                        self.expect("(")?;
                        loop {
                            self.ident()?;
                            if !self.eat_word("ASC") {
                                self.eat_word("DESC");
                            }
                            if !self.eat(",") {
                                break;
                            }
                        }
                        self.expect(")")?;
                    }
                    other => return Err(unsupported(format!("INSERT BULK option {other}"))),
                }
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(StmtKind::InsertBulk(bulk))
    }
}
