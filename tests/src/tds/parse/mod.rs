//! T-SQL text to syntax tree.

pub(crate) mod ast;
mod control;
mod ddl;
mod dml;
mod expr;
mod lexer;
mod query;
mod security;
mod types;

use ast::{Expr, Ident, ObjName, Stmt};
use lexer::{Token, TokenKind};

use crate::tds::error::{Result, SqlError, syntax};
use crate::tds::types::SqlType;

/// A batch as a list of statements.
pub(crate) fn batch(text: &str) -> Result<Vec<Stmt>> {
    let mut p = Parser::new(text)?;
    let mut out = Vec::new();
    loop {
        while p.eat(";") {}
        if p.at_end() {
            return Ok(out);
        }
        out.push(p.statement()?);
    }
}

/// A scalar expression or predicate, as a default or check constraint keeps it.
pub(crate) fn expression(text: &str) -> Result<Expr> {
    let mut p = Parser::new(text)?;
    let e = p.expr()?;
    p.expect_end()?;
    Ok(e)
}

/// The parameter list of `sp_executesql`: `@a int, @b nvarchar(4000) OUTPUT`.
pub(crate) fn parameters(text: &str) -> Result<Vec<(String, SqlType, bool)>> {
    let mut p = Parser::new(text)?;
    let mut out = Vec::new();
    while !p.at_end() {
        let name = p.variable()?;
        p.eat_word("AS");
        let ty = p.data_type()?;
        let output = p.eat_word("OUTPUT") || p.eat_word("OUT");
        out.push((name, ty, output));
        if !p.eat(",") {
            break;
        }
    }
    p.expect_end()?;
    Ok(out)
}

/// A name in one to four parts, as functions such as `OBJECT_ID` take it.
pub(crate) fn object_name(text: &str) -> Option<ObjName> {
    let mut p = Parser::new(text).ok()?;
    let name = p.obj_name().ok()?;
    p.at_end().then_some(name)
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Parser<'a>> {
        Ok(Parser { text, tokens: lexer::lex(text)?, at: 0, depth: 0 })
    }

    fn peek(&self) -> &TokenKind {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &TokenKind {
        let i = (self.at + ahead).min(self.tokens.len() - 1);
        &self.tokens[i].kind
    }

    fn line(&self) -> u32 {
        self.tokens[self.at.min(self.tokens.len() - 1)].line
    }

    fn next(&mut self) -> TokenKind {
        let t = self.peek().clone();
        if self.at < self.tokens.len() - 1 {
            self.at += 1;
        }
        t
    }

    fn at_end(&self) -> bool {
        matches!(self.peek(), TokenKind::End)
    }

    fn expect_end(&mut self) -> Result<()> {
        if self.at_end() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The text from a token on, up to where the parser stands.
    fn text_since(&self, start: usize) -> String {
        let from = self.tokens[start].start;
        let to = if self.at == 0 { from } else { self.tokens[self.at - 1].end };
        self.text.get(from..to).unwrap_or_default().to_owned()
    }

    /// Error 102 (or 156 for a keyword) at the current token.
    fn unexpected(&self) -> SqlError {
        let line = self.line();
        match self.peek() {
            TokenKind::End => {
                let near =
                    if self.at > 0 { self.tokens[self.at - 1].display() } else { String::new() };
                syntax(&near).at_line(line)
            }
            TokenKind::Word(w) if lexer::is_reserved(w) => {
                SqlError::new(156, 15, format!("Incorrect syntax near the keyword '{w}'."))
                    .reach(crate::tds::error::Reach::Batch)
                    .at_line(line)
            }
            _ => syntax(&self.tokens[self.at].display()).at_line(line),
        }
    }

    fn is(&self, punct: &str) -> bool {
        matches!(self.peek(), TokenKind::Punct(p) if *p == punct)
    }

    fn eat(&mut self, punct: &str) -> bool {
        let hit = self.is(punct);
        if hit {
            self.next();
        }
        hit
    }

    fn expect(&mut self, punct: &str) -> Result<()> {
        if self.eat(punct) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Word(w) if w.eq_ignore_ascii_case(word))
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let hit = self.is_word(word);
        if hit {
            self.next();
        }
        hit
    }

    /// All the words in a row, or none.
    fn eat_words(&mut self, words: &[&str]) -> bool {
        let hit = words.iter().enumerate().all(|(i, w)| self.is_word_at(i, w));
        if hit {
            for _ in words {
                self.next();
            }
        }
        hit
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// An identifier; a reserved word only in brackets or quotes.
    fn ident(&mut self) -> Result<Ident> {
        match self.peek() {
            TokenKind::Word(w) if !lexer::is_reserved(w) => {
                let w = w.clone();
                self.next();
                Ok(w)
            }
            TokenKind::Quoted(w) => {
                let w = w.clone();
                self.next();
                Ok(w)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn is_ident(&self) -> bool {
        match self.peek() {
            TokenKind::Word(w) => !lexer::is_reserved(w),
            TokenKind::Quoted(_) => true,
            _ => false,
        }
    }

    /// Any word, reserved or not, upper-cased.
    fn any_word(&mut self) -> Result<String> {
        match self.peek() {
            TokenKind::Word(w) => {
                let w = w.to_ascii_uppercase();
                self.next();
                Ok(w)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn variable(&mut self) -> Result<String> {
        match self.peek() {
            TokenKind::Var(v) => {
                let v = v.to_ascii_lowercase();
                self.next();
                Ok(v)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn obj_name(&mut self) -> Result<ObjName> {
        let mut parts = vec![self.ident()?];
        while self.eat(".") {
            if self.is(".") {
                parts.push(String::new());
            } else {
                parts.push(self.ident()?);
            }
        }
        let mut it = parts.into_iter().rev();
        let name = it.next().unwrap_or_default();
        let schema = it.next().filter(|s| !s.is_empty());
        let db = it.next().filter(|s| !s.is_empty());
        if it.next().is_some() {
            return Err(crate::tds::error::unsupported("a four-part name (linked server)"));
        }
        Ok(ObjName { db, schema, name })
    }

    fn name_list(&mut self) -> Result<Vec<Ident>> {
        self.expect("(")?;
        let mut out = vec![self.ident()?];
        while self.eat(",") {
            out.push(self.ident()?);
        }
        self.expect(")")?;
        Ok(out)
    }

    fn string(&mut self) -> Result<String> {
        match self.peek() {
            TokenKind::Str(s) | TokenKind::NStr(s) => {
                let s = s.clone();
                self.next();
                Ok(s)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn integer(&mut self) -> Result<i64> {
        let negative = self.eat("-");
        match self.peek() {
            TokenKind::Number(n) => {
                let n: i64 = n.parse().map_err(|_| self.unexpected())?;
                self.next();
                Ok(if negative { -n } else { n })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Guards against text nested so deep that it would end the thread.
    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > 120 {
            return Err(SqlError::new(
                191,
                15,
                "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.",
            )
            .reach(crate::tds::error::Reach::Batch));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }
}
