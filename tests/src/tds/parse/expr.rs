//! Expressions and predicates.

use super::Parser;
use super::ast::{BinOp, Expr, OrderItem, Over};
use super::lexer::TokenKind;
use super::types::cast_length;
use crate::tds::error::{Result, unsupported};

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.enter()?;
        let e = self.or_expr();
        self.leave();
        e
    }

    fn or_expr(&mut self) -> Result<Expr> {
        let mut left = self.and_expr()?;
        while self.eat_word("OR") {
            left = Expr::Or(Box::new(left), Box::new(self.and_expr()?));
        }
        Ok(left)
    }

    fn and_expr(&mut self) -> Result<Expr> {
        let mut left = self.not_expr()?;
        while self.eat_word("AND") {
            left = Expr::And(Box::new(left), Box::new(self.not_expr()?));
        }
        Ok(left)
    }

    fn not_expr(&mut self) -> Result<Expr> {
        if self.eat_word("NOT") {
            return Ok(Expr::Not(Box::new(self.not_expr()?)));
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Result<Expr> {
        let left = self.additive()?;
        let not = self.is_word("NOT")
            && (self.is_word_at(1, "IN")
                || self.is_word_at(1, "LIKE")
                || self.is_word_at(1, "BETWEEN"));
        if not {
            self.next();
        }
        if self.eat_word("IS") {
            let not = self.eat_word("NOT");
            if self.is_word("DISTINCT") {
                return Err(unsupported("IS [NOT] DISTINCT FROM (SQL Server 2022)"));
            }
            self.expect_word("NULL")?;
            return Ok(Expr::IsNull(Box::new(left), not));
        }
        if self.eat_word("BETWEEN") {
            let low = Box::new(self.additive()?);
            self.expect_word("AND")?;
            let high = Box::new(self.additive()?);
            return Ok(Expr::Between { expr: Box::new(left), low, high, not });
        }
        if self.eat_word("IN") {
            self.expect("(")?;
            if self.at_query() {
                let query = Box::new(self.query()?);
                self.expect(")")?;
                return Ok(Expr::InQuery { expr: Box::new(left), query, not });
            }
            let list = self.expr_list()?;
            self.expect(")")?;
            return Ok(Expr::InList { expr: Box::new(left), list, not });
        }
        if self.eat_word("LIKE") {
            let pattern = Box::new(self.additive()?);
            let escape =
                if self.eat_word("ESCAPE") { Some(Box::new(self.additive()?)) } else { None };
            return Ok(Expr::Like { expr: Box::new(left), pattern, escape, not });
        }
        let op = match self.peek() {
            TokenKind::Punct("=") => BinOp::Eq,
            TokenKind::Punct("<>" | "!=") => BinOp::Ne,
            TokenKind::Punct("<") => BinOp::Lt,
            TokenKind::Punct("<=" | "!>") => BinOp::Le,
            TokenKind::Punct(">") => BinOp::Gt,
            TokenKind::Punct(">=" | "!<") => BinOp::Ge,
            _ => return Ok(left),
        };
        self.next();
        if self.is_word("ANY") || self.is_word("SOME") || self.is_word("ALL") {
            let all = self.any_word()? == "ALL";
            self.expect("(")?;
            let query = Box::new(self.query()?);
            self.expect(")")?;
            return Ok(Expr::Quantified { expr: Box::new(left), op, all, query });
        }
        Ok(Expr::Binary(op, Box::new(left), Box::new(self.additive()?)))
    }

    fn additive(&mut self) -> Result<Expr> {
        let mut left = self.multiplicative()?;
        loop {
            let op = match self.peek() {
                TokenKind::Punct("+") => BinOp::Add,
                TokenKind::Punct("-") => BinOp::Sub,
                TokenKind::Punct("&") => BinOp::BitAnd,
                TokenKind::Punct("|") => BinOp::BitOr,
                TokenKind::Punct("^") => BinOp::BitXor,
                _ => return Ok(left),
            };
            self.next();
            left = Expr::Binary(op, Box::new(left), Box::new(self.multiplicative()?));
        }
    }

    fn multiplicative(&mut self) -> Result<Expr> {
        let mut left = self.unary()?;
        loop {
            let op = match self.peek() {
                TokenKind::Punct("*") => BinOp::Mul,
                TokenKind::Punct("/") => BinOp::Div,
                TokenKind::Punct("%") => BinOp::Mod,
                _ => return Ok(left),
            };
            self.next();
            left = Expr::Binary(op, Box::new(left), Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Result<Expr> {
        self.enter()?;
        let e = if self.eat("-") {
            match self.unary()? {
                // Keeps -2147483648 an int.
                Expr::Number(n) if !n.starts_with('-') => Expr::Number(format!("-{n}")),
                e => Expr::Negate(Box::new(e)),
            }
        } else if self.eat("+") {
            self.unary()?
        } else if self.eat("~") {
            Expr::BitNot(Box::new(self.unary()?))
        } else {
            self.postfix()?
        };
        self.leave();
        Ok(e)
    }

    fn postfix(&mut self) -> Result<Expr> {
        let mut e = self.primary()?;
        loop {
            if self.eat_word("COLLATE") {
                let name = self.ident()?;
                e = Expr::Collate(Box::new(e), name);
            } else if self.eat_words(&["AT", "TIME", "ZONE"]) {
                self.primary()?;
                e = Expr::AtTimeZone;
            } else {
                return Ok(e);
            }
        }
    }

    pub(super) fn expr_list(&mut self) -> Result<Vec<Expr>> {
        let mut out = vec![self.expr()?];
        while self.eat(",") {
            out.push(self.expr()?);
        }
        Ok(out)
    }

    /// At `SELECT` or `WITH`, or parentheses that hold one.
    pub(super) fn at_query(&self) -> bool {
        let mut i = 0;
        while matches!(self.peek_at(i), TokenKind::Punct("(")) {
            i += 1;
        }
        self.is_word_at(i, "SELECT") || (i == 0 && self.is_word("WITH"))
    }

    fn primary(&mut self) -> Result<Expr> {
        match self.peek().clone() {
            TokenKind::Number(n) => {
                self.next();
                Ok(Expr::Number(n))
            }
            TokenKind::Str(s) => {
                self.next();
                Ok(Expr::Str(s))
            }
            TokenKind::NStr(s) => {
                self.next();
                Ok(Expr::NStr(s))
            }
            TokenKind::Hex(b) => {
                self.next();
                Ok(Expr::Hex(b))
            }
            TokenKind::Var(v) => {
                self.next();
                Ok(Expr::Var(v.to_ascii_lowercase()))
            }
            TokenKind::SysVar(v) => {
                self.next();
                Ok(Expr::SysVar(v.to_ascii_lowercase()))
            }
            TokenKind::Punct("(") => {
                if self.at_query() {
                    self.next();
                    let query = Box::new(self.query()?);
                    self.expect(")")?;
                    return Ok(Expr::Subquery(query));
                }
                self.next();
                let e = self.expr()?;
                self.expect(")")?;
                Ok(e)
            }
            TokenKind::Quoted(_) => self.name_or_call(),
            TokenKind::Word(w) => self.word_expr(&w.to_ascii_uppercase()),
            _ => Err(self.unexpected()),
        }
    }

    fn word_expr(&mut self, word: &str) -> Result<Expr> {
        let simple = |name: &str| Expr::Func {
            name: name.to_owned(),
            args: Vec::new(),
            distinct: false,
            star: false,
            over: None,
            within: Vec::new(),
        };
        match word {
            "NULL" => {
                self.next();
                Ok(Expr::Null)
            }
            "DEFAULT" => {
                self.next();
                Ok(Expr::Default)
            }
            "CASE" => {
                self.next();
                self.case()
            }
            "EXISTS" => {
                self.next();
                self.expect("(")?;
                let query = Box::new(self.query()?);
                self.expect(")")?;
                Ok(Expr::Exists(query))
            }
            "CAST" | "TRY_CAST" if matches!(self.peek_at(1), TokenKind::Punct("(")) => {
                self.next();
                self.expect("(")?;
                let expr = Box::new(self.expr()?);
                self.expect_word("AS")?;
                let ty = self.cast_type()?;
                self.expect(")")?;
                Ok(Expr::Cast { expr, ty, style: None, attempt: word == "TRY_CAST" })
            }
            "CONVERT" | "TRY_CONVERT" if matches!(self.peek_at(1), TokenKind::Punct("(")) => {
                self.next();
                self.expect("(")?;
                let ty = self.cast_type()?;
                self.expect(",")?;
                let expr = Box::new(self.expr()?);
                let style = if self.eat(",") { Some(Box::new(self.expr()?)) } else { None };
                self.expect(")")?;
                Ok(Expr::Cast { expr, ty, style, attempt: word == "TRY_CONVERT" })
            }
            "CURRENT_TIMESTAMP" | "CURRENT_USER" | "SESSION_USER" | "SYSTEM_USER" | "USER" => {
                self.next();
                Ok(simple(word))
            }
            "LEFT" | "RIGHT" | "COALESCE" | "NULLIF"
                if matches!(self.peek_at(1), TokenKind::Punct("(")) =>
            {
                self.next();
                self.call(word.to_owned())
            }
            _ => self.name_or_call(),
        }
    }

    fn cast_type(&mut self) -> Result<crate::tds::types::SqlType> {
        let ty = self.data_type()?;
        let had_length =
            self.at > 0 && matches!(self.tokens[self.at - 1].kind, TokenKind::Punct(")"));
        Ok(cast_length(ty, had_length))
    }

    fn case(&mut self) -> Result<Expr> {
        let operand = if self.is_word("WHEN") { None } else { Some(Box::new(self.expr()?)) };
        let mut whens = Vec::new();
        while self.eat_word("WHEN") {
            let when = self.expr()?;
            self.expect_word("THEN")?;
            whens.push((when, self.expr()?));
        }
        if whens.is_empty() {
            return Err(self.unexpected());
        }
        let otherwise = if self.eat_word("ELSE") { Some(Box::new(self.expr()?)) } else { None };
        self.expect_word("END")?;
        Ok(Expr::Case { operand, whens, otherwise })
    }

    fn name_or_call(&mut self) -> Result<Expr> {
        let mut parts = vec![self.ident()?];
        while self.is(".") {
            self.next();
            if self.is(".") {
                parts.push(String::new());
            } else {
                parts.push(self.ident()?);
            }
        }
        if self.is("(") {
            let name = parts.pop().unwrap_or_default();
            if parts.iter().any(|p| !p.eq_ignore_ascii_case("sys")) {
                return Err(unsupported(format!(
                    "user-defined function {}.{name}",
                    parts.join(".")
                )));
            }
            return self.call(name.to_ascii_uppercase());
        }
        Ok(Expr::Column(parts))
    }

    fn call(&mut self, name: String) -> Result<Expr> {
        self.expect("(")?;
        let (mut args, mut distinct, mut star) = (Vec::new(), false, false);
        if self.is("*") {
            self.next();
            star = true;
        } else if !self.is(")") {
            distinct = self.eat_word("DISTINCT");
            if !distinct {
                self.eat_word("ALL");
            }
            args = self.expr_list()?;
        }
        self.expect(")")?;
        let mut within = Vec::new();
        if self.eat_words(&["WITHIN", "GROUP"]) {
            self.expect("(")?;
            within = self.order_by()?;
            self.expect(")")?;
        }
        let mut over = None;
        if self.is_word("OVER") {
            self.next();
            over = Some(self.over()?);
        }
        Ok(Expr::Func { name, args, distinct, star, over, within })
    }

    fn over(&mut self) -> Result<Over> {
        self.expect("(")?;
        let mut over = Over { partition: Vec::new(), order: Vec::new() };
        if self.eat_words(&["PARTITION", "BY"]) {
            over.partition = self.expr_list()?;
        }
        if self.is_word("ORDER") {
            over.order = self.order_by()?;
        }
        if self.is_word("ROWS") || self.is_word("RANGE") {
            return Err(unsupported("window frames (ROWS, RANGE)"));
        }
        self.expect(")")?;
        Ok(over)
    }

    pub(super) fn order_by(&mut self) -> Result<Vec<OrderItem>> {
        self.expect_word("ORDER")?;
        self.expect_word("BY")?;
        let mut out = Vec::new();
        loop {
            let expr = self.expr()?;
            let desc = self.eat_word("DESC");
            if !desc {
                self.eat_word("ASC");
            }
            out.push(OrderItem { expr, desc });
            if !self.eat(",") {
                return Ok(out);
            }
        }
    }
}
