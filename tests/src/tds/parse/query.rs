//! SELECT, joins, CTEs, set operators, hints.

use super::Parser;
use super::ast::{BinOp, Cte, Hints, Item, JoinKind, Query, Select, SetExpr, SetOp, TableRef};
use super::lexer::TokenKind;
use crate::tds::error::{Result, syntax, unsupported};

impl Parser<'_> {
    pub(super) fn query(&mut self) -> Result<Query> {
        self.enter()?;
        let ctes = if self.is_word("WITH") { self.ctes()? } else { Vec::new() };
        let q = self.query_after(ctes);
        self.leave();
        q
    }

    /// A query whose WITH was already read.
    pub(super) fn query_after(&mut self, ctes: Vec<Cte>) -> Result<Query> {
        let body = self.set_expr()?;
        let order = if self.is_word("ORDER") { self.order_by()? } else { Vec::new() };
        let (mut offset, mut fetch) = (None, None);
        if self.is_word("OFFSET") {
            if order.is_empty() {
                return Err(self.unexpected());
            }
            self.next();
            offset = Some(self.expr()?);
            if !self.eat_word("ROWS") {
                self.expect_word("ROW")?;
            }
            if self.eat_word("FETCH") {
                if !self.eat_word("NEXT") {
                    self.expect_word("FIRST")?;
                }
                fetch = Some(self.expr()?);
                if !self.eat_word("ROWS") {
                    self.expect_word("ROW")?;
                }
                self.expect_word("ONLY")?;
            }
        }
        if self.is_word("FOR") && !self.is_word_at(1, "LOGIN") {
            return Err(unsupported("FOR XML, FOR JSON and FOR BROWSE"));
        }
        Ok(Query { ctes, body, order, offset, fetch })
    }

    pub(super) fn ctes(&mut self) -> Result<Vec<Cte>> {
        self.expect_word("WITH")?;
        let mut out = Vec::new();
        loop {
            let name = self.ident()?;
            let columns = if self.is("(") { self.name_list()? } else { Vec::new() };
            self.expect_word("AS")?;
            self.expect("(")?;
            let query = self.query()?;
            self.expect(")")?;
            out.push(Cte { name, columns, query });
            if !self.eat(",") {
                return Ok(out);
            }
        }
    }

    fn set_expr(&mut self) -> Result<SetExpr> {
        let mut left = self.intersect_expr()?;
        loop {
            let op = if self.eat_word("UNION") {
                if self.eat_word("ALL") { SetOp::UnionAll } else { SetOp::Union }
            } else if self.eat_word("EXCEPT") {
                SetOp::Except
            } else {
                return Ok(left);
            };
            left = SetExpr::Op(op, Box::new(left), Box::new(self.intersect_expr()?));
        }
    }

    fn intersect_expr(&mut self) -> Result<SetExpr> {
        let mut left = self.set_primary()?;
        while self.eat_word("INTERSECT") {
            left = SetExpr::Op(SetOp::Intersect, Box::new(left), Box::new(self.set_primary()?));
        }
        Ok(left)
    }

    fn set_primary(&mut self) -> Result<SetExpr> {
        if self.eat("(") {
            self.enter()?;
            let inner = self.set_expr()?;
            self.leave();
            self.expect(")")?;
            return Ok(inner);
        }
        Ok(SetExpr::Select(Box::new(self.select()?)))
    }

    fn select(&mut self) -> Result<Select> {
        self.expect_word("SELECT")?;
        let distinct = self.eat_word("DISTINCT");
        if !distinct {
            self.eat_word("ALL");
        }
        let top = self.top()?;
        let mut items = vec![self.item()?];
        while self.eat(",") {
            items.push(self.item()?);
        }
        let into = if self.eat_word("INTO") { Some(self.obj_name()?) } else { None };
        let from = if self.eat_word("FROM") { self.table_list()? } else { Vec::new() };
        let filter = if self.eat_word("WHERE") { Some(self.expr()?) } else { None };
        let mut group = Vec::new();
        if self.eat_word("GROUP") {
            self.expect_word("BY")?;
            if self.is_word("ROLLUP") || self.is_word("CUBE") || self.is_word("GROUPING") {
                return Err(unsupported("GROUP BY ROLLUP, CUBE and GROUPING SETS"));
            }
            group = self.expr_list()?;
        }
        let having = if self.eat_word("HAVING") { Some(self.expr()?) } else { None };
        Ok(Select { distinct, top, items, into, from, filter, group, having })
    }

    /// `TOP (n)` or `TOP n`.
    pub(super) fn top(&mut self) -> Result<Option<super::ast::Expr>> {
        if !self.eat_word("TOP") {
            return Ok(None);
        }
        let e = if self.eat("(") {
            let e = self.expr()?;
            self.expect(")")?;
            e
        } else {
            match self.next() {
                TokenKind::Number(n) => super::ast::Expr::Number(n),
                other => return Err(syntax(&format!("{other:?}"))),
            }
        };
        if self.is_word("PERCENT") || (self.is_word("WITH") && self.is_word_at(1, "TIES")) {
            return Err(unsupported("TOP PERCENT and WITH TIES"));
        }
        Ok(Some(e))
    }

    pub(super) fn item(&mut self) -> Result<Item> {
        if self.eat("*") {
            return Ok(Item::Star(Vec::new()));
        }
        if let TokenKind::Var(v) = self.peek().clone()
            && let Some(op) = assignment_op(self.peek_at(1))
        {
            self.next();
            self.next();
            return Ok(Item::Assign { var: v.to_ascii_lowercase(), op, expr: self.expr()? });
        }
        if let Some(qualifier) = self.qualified_star() {
            return Ok(Item::Star(qualifier));
        }
        // `alias = expression`
        if self.is_ident() && matches!(self.peek_at(1), TokenKind::Punct("=")) {
            let alias = self.ident()?;
            self.next();
            return Ok(Item::Expr { expr: self.expr()?, alias: Some(alias) });
        }
        let expr = self.expr()?;
        let alias = self.alias()?;
        Ok(Item::Expr { expr, alias })
    }

    fn qualified_star(&mut self) -> Option<Vec<String>> {
        let mut ahead = 0;
        let mut parts = Vec::new();
        loop {
            match self.peek_at(ahead) {
                TokenKind::Word(w) | TokenKind::Quoted(w) => parts.push(w.clone()),
                _ => return None,
            }
            if !matches!(self.peek_at(ahead + 1), TokenKind::Punct(".")) {
                return None;
            }
            if matches!(self.peek_at(ahead + 2), TokenKind::Punct("*")) {
                for _ in 0..ahead + 3 {
                    self.next();
                }
                return Some(parts);
            }
            ahead += 2;
        }
    }

    /// `[AS] alias`, where a string is an alias too.
    pub(super) fn alias(&mut self) -> Result<Option<String>> {
        if self.eat_word("AS") {
            if matches!(self.peek(), TokenKind::Str(_) | TokenKind::NStr(_)) {
                return Ok(Some(self.string()?));
            }
            return Ok(Some(self.ident()?));
        }
        if self.is_ident() && !self.at_clause() {
            return Ok(Some(self.ident()?));
        }
        Ok(None)
    }

    /// Unreserved words that start something else after an expression or table.
    fn at_clause(&self) -> bool {
        let starts = |w: &str, next: &[&str]| {
            self.is_word(w) && (next.is_empty() || next.iter().any(|n| self.is_word_at(1, n)))
        };
        starts("OFFSET", &[])
            || starts("OUTPUT", &[])
            || starts("GO", &[])
            || starts("APPLY", &[])
            || (self.is_word("MATCHED"))
    }

    pub(super) fn table_list(&mut self) -> Result<Vec<TableRef>> {
        let mut out = vec![self.joined()?];
        while self.eat(",") {
            out.push(self.joined()?);
        }
        Ok(out)
    }

    fn joined(&mut self) -> Result<TableRef> {
        let mut left = self.table_primary()?;
        loop {
            let kind = if self.eat_words(&["CROSS", "APPLY"]) {
                JoinKind::CrossApply
            } else if self.eat_words(&["OUTER", "APPLY"]) {
                JoinKind::OuterApply
            } else if self.eat_words(&["CROSS", "JOIN"]) {
                JoinKind::Cross
            } else {
                match self.join_kind()? {
                    Some(kind) => kind,
                    None => return Ok(left),
                }
            };
            let right = if kind == JoinKind::Inner
                || matches!(kind, JoinKind::Left | JoinKind::Right | JoinKind::Full)
            {
                // `a JOIN b JOIN c ON .. ON ..` nests to the right; one level is enough.
                let right = self.table_primary()?;
                if self.is_word("ON") { right } else { self.join_rest(right)? }
            } else {
                self.table_primary()?
            };
            let on =
                if matches!(kind, JoinKind::Cross | JoinKind::CrossApply | JoinKind::OuterApply) {
                    None
                } else {
                    self.expect_word("ON")?;
                    Some(self.expr()?)
                };
            left = TableRef::Join { kind, left: Box::new(left), right: Box::new(right), on };
        }
    }

    fn join_rest(&mut self, left: TableRef) -> Result<TableRef> {
        let Some(kind) = self.join_kind()? else { return Err(self.unexpected()) };
        let right = self.table_primary()?;
        self.expect_word("ON")?;
        let on = Some(self.expr()?);
        Ok(TableRef::Join { kind, left: Box::new(left), right: Box::new(right), on })
    }

    fn join_kind(&mut self) -> Result<Option<JoinKind>> {
        if self.eat_word("JOIN") {
            return Ok(Some(JoinKind::Inner));
        }
        let kind = if self.is_word("INNER") {
            JoinKind::Inner
        } else if self.is_word("LEFT") {
            JoinKind::Left
        } else if self.is_word("RIGHT") {
            JoinKind::Right
        } else if self.is_word("FULL") {
            JoinKind::Full
        } else {
            return Ok(None);
        };
        self.next();
        if kind != JoinKind::Inner {
            self.eat_word("OUTER");
        }
        for hint in ["HASH", "LOOP", "MERGE", "REMOTE"] {
            self.eat_word(hint);
        }
        self.expect_word("JOIN")?;
        Ok(Some(kind))
    }

    fn table_primary(&mut self) -> Result<TableRef> {
        if self.is("(") {
            if self.is_word_at(1, "VALUES") {
                self.next();
                self.next();
                let rows = self.value_rows()?;
                self.expect(")")?;
                let (alias, columns) = self.derived_alias()?;
                return Ok(TableRef::Values { rows, alias, columns });
            }
            if self.at_query() {
                self.next();
                let query = Box::new(self.query()?);
                self.expect(")")?;
                let (alias, columns) = self.derived_alias()?;
                return Ok(TableRef::Derived { query, alias, columns });
            }
            self.next();
            let inner = self.joined()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if let TokenKind::Var(v) = self.peek().clone() {
            self.next();
            let alias = self.alias()?;
            return Ok(TableRef::Variable { name: v.to_ascii_lowercase(), alias });
        }
        let name = self.obj_name()?;
        if self.is("(") && !self.hint_ahead(1) {
            return Err(unsupported(format!("table-valued function {}", name.display())));
        }
        let alias = self.alias()?;
        for word in ["TABLESAMPLE", "PIVOT", "UNPIVOT"] {
            if self.is_word(word) {
                return Err(unsupported(word));
            }
        }
        if self.is_word("FOR") && self.is_word_at(1, "SYSTEM_TIME") {
            return Err(unsupported("FOR SYSTEM_TIME"));
        }
        let hints = self.table_hints()?;
        Ok(TableRef::Table { name, alias, hints })
    }

    fn derived_alias(&mut self) -> Result<(String, Vec<String>)> {
        self.eat_word("AS");
        let alias = self.ident()?;
        let columns = if self.is("(") { self.name_list()? } else { Vec::new() };
        Ok((alias, columns))
    }

    pub(super) fn value_rows(&mut self) -> Result<Vec<Vec<super::ast::Expr>>> {
        let mut rows = Vec::new();
        loop {
            self.expect("(")?;
            rows.push(self.expr_list()?);
            self.expect(")")?;
            if !self.eat(",") {
                return Ok(rows);
            }
        }
    }

    fn hint_ahead(&self, ahead: usize) -> bool {
        const OLD: [&str; 6] = ["NOLOCK", "HOLDLOCK", "UPDLOCK", "TABLOCK", "TABLOCKX", "READPAST"];
        OLD.iter().any(|h| self.is_word_at(ahead, h))
    }

    /// `WITH (UPDLOCK, SERIALIZABLE)`, or the old form without WITH.
    pub(super) fn table_hints(&mut self) -> Result<Hints> {
        let mut hints = Hints::default();
        if self.is_word("WITH") && matches!(self.peek_at(1), TokenKind::Punct("(")) {
            self.next();
        } else if !(self.is("(") && self.hint_ahead(1)) {
            return Ok(hints);
        }
        self.expect("(")?;
        loop {
            let word = self.any_word()?;
            match word.as_str() {
                "UPDLOCK" => hints.updlock = true,
                "XLOCK" => hints.xlock = true,
                "SERIALIZABLE" | "HOLDLOCK" => hints.serializable = true,
                "REPEATABLEREAD" => hints.repeatable = true,
                "NOLOCK" | "READUNCOMMITTED" => hints.nolock = true,
                "READPAST" => hints.readpast = true,
                "TABLOCK" => hints.tablock = true,
                "TABLOCKX" => hints.tablockx = true,
                "READCOMMITTED" | "READCOMMITTEDLOCK" | "ROWLOCK" | "PAGLOCK" | "FORCESEEK"
                | "FORCESCAN" | "NOEXPAND" => {}
                "INDEX" => {
                    if self.eat("=") || self.is("(") {
                        if self.eat("(") {
                            self.next();
                            self.expect(")")?;
                        } else {
                            self.next();
                        }
                    }
                }
                other => return Err(unsupported(format!("table hint {other}"))),
            }
            if !self.eat(",") && !matches!(self.peek(), TokenKind::Word(_)) {
                break;
            }
        }
        self.expect(")")?;
        Ok(hints)
    }

    /// `OPTION (RECOMPILE, MAXDOP 1)`; the words are kept.
    pub(super) fn options(&mut self) -> Result<Vec<String>> {
        let mut out = Vec::new();
        if !(self.is_word("OPTION") && matches!(self.peek_at(1), TokenKind::Punct("("))) {
            return Ok(out);
        }
        self.next();
        self.expect("(")?;
        loop {
            let word = self.any_word()?;
            match word.as_str() {
                "RECOMPILE" => {}
                "MAXDOP" | "FAST" | "MAXRECURSION" => {
                    self.integer()?;
                }
                "LOOP" | "HASH" | "MERGE" | "FORCE" | "KEEP" | "KEEPFIXED" | "ROBUST"
                | "CONCAT" => {
                    self.any_word()?;
                }
                "OPTIMIZE" => {
                    self.expect_word("FOR")?;
                    self.expect_word("UNKNOWN")?;
                }
                other => return Err(unsupported(format!("query hint {other}"))),
            }
            out.push(word);
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(out)
    }
}

/// `=` or `+=` and its kin; the inner option is the arithmetic part.
#[allow(clippy::option_option)]
pub(super) fn assignment_op(token: &TokenKind) -> Option<Option<BinOp>> {
    Some(match token {
        TokenKind::Punct("=") => None,
        TokenKind::Punct("+=") => Some(BinOp::Add),
        TokenKind::Punct("-=") => Some(BinOp::Sub),
        TokenKind::Punct("*=") => Some(BinOp::Mul),
        TokenKind::Punct("/=") => Some(BinOp::Div),
        TokenKind::Punct("%=") => Some(BinOp::Mod),
        _ => return None,
    })
}
