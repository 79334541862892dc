//! Characters to tokens.

use crate::tds::error::{Reach, Result, SqlError, syntax};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A bare word or `#temp` name.
    Word(String),
    /// `[name]` or `"name"`.
    Quoted(String),
    Str(String),
    NStr(String),
    Number(String),
    Hex(Vec<u8>),
    /// `@name`, with the at sign.
    Var(String),
    /// `@@name`, with the at signs.
    SysVar(String),
    Punct(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) line: u32,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    pub(crate) fn display(&self) -> String {
        match &self.kind {
            TokenKind::Word(w)
            | TokenKind::Quoted(w)
            | TokenKind::Var(w)
            | TokenKind::SysVar(w) => w.clone(),
            TokenKind::Str(s) | TokenKind::NStr(s) | TokenKind::Number(s) => s.clone(),
            TokenKind::Hex(_) => "0x".to_owned(),
            TokenKind::Punct(p) => (*p).to_owned(),
            TokenKind::End => String::new(),
        }
    }
}

const PUNCT: [&str; 32] = [
    "<>", "<=", ">=", "!=", "!<", "!>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "::", "(",
    ")", ",", ";", ".", "=", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "~",
];

/// Words that are not names unless they are quoted.
const RESERVED: &str = " add all alter and any as asc authorization backup begin between break browse bulk by \
cascade case check checkpoint close clustered coalesce collate column commit compute constraint contains \
continue convert create cross current_timestamp current_user cursor database dbcc deallocate declare \
default delete deny desc distinct distributed drop else end errlvl escape except exec execute exists exit \
external fetch file fillfactor for foreign freetext from full function goto grant group having holdlock \
identity identity_insert if in index inner insert intersect into is join key kill left like lineno merge \
national nocheck nonclustered not null nullif of off offsets on open openquery openrowset option or order \
outer over percent pivot plan primary print proc procedure public raiserror read readtext reconfigure \
references replication restore restrict return revert revoke right rollback rowcount rowguidcol rule save \
schema select session_user set setuser shutdown some statistics system_user table tablesample textsize then \
to top tran transaction trigger truncate try_convert tsequal union unique unpivot update updatetext use \
user values varying view waitfor when where while with writetext ";

pub(crate) fn is_reserved(word: &str) -> bool {
    word.len() < 20
        && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
        && RESERVED.contains(&format!(" {} ", word.to_ascii_lowercase()))
}

pub(crate) fn lex(text: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { text, chars: text.char_indices().collect(), at: 0, line: 1 };
    let mut out = Vec::new();
    while let Some(token) = lexer.token()? {
        out.push(token);
    }
    out.push(Token { kind: TokenKind::End, line: lexer.line, start: text.len(), end: text.len() });
    Ok(out)
}

struct Lexer<'a> {
    text: &'a str,
    chars: Vec<(usize, char)>,
    at: usize,
    line: u32,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).map(|c| c.1)
    }

    fn offset(&self) -> usize {
        self.chars.get(self.at).map_or(self.text.len(), |c| c.0)
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        if c == '\n' {
            self.line += 1;
        }
        self.at += 1;
        Some(c)
    }

    fn skip(&mut self) -> Result<()> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(c), _) if c.is_whitespace() || c == '\u{feff}' => {
                    self.bump();
                }
                (Some('-'), Some('-')) => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.bump();
                    }
                }
                (Some('/'), Some('*')) => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<()> {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => {
                    self.bump();
                }
                (None, _) => {
                    return Err(SqlError::new(113, 15, "Missing end comment mark '*/'.")
                        .reach(Reach::Batch));
                }
            }
        }
    }

    fn token(&mut self) -> Result<Option<Token>> {
        self.skip()?;
        let (start, line) = (self.offset(), self.line);
        let Some(c) = self.peek(0) else { return Ok(None) };
        let kind = match c {
            'N' | 'n' if self.peek(1) == Some('\'') => {
                self.bump();
                TokenKind::NStr(self.quoted('\'')?)
            }
            '\'' => TokenKind::Str(self.quoted('\'')?),
            '"' => TokenKind::Quoted(self.quoted('"')?),
            '[' => TokenKind::Quoted(self.quoted(']')?),
            '@' => {
                let name = self.word();
                if name.starts_with("@@") { TokenKind::SysVar(name) } else { TokenKind::Var(name) }
            }
            '0' if matches!(self.peek(1), Some('x' | 'X')) => {
                self.at += 2;
                let mut digits = String::new();
                while let Some(d) = self.peek(0).filter(char::is_ascii_hexdigit) {
                    digits.push(d);
                    self.bump();
                }
                if digits.len() % 2 == 1 {
                    digits.insert(0, '0');
                }
                TokenKind::Hex(crate::tds::types::convert::hex(&digits).unwrap_or_default())
            }
            _ if c.is_ascii_digit()
                || (c == '.' && self.peek(1).is_some_and(|d| d.is_ascii_digit())) =>
            {
                TokenKind::Number(self.number())
            }
            _ if c.is_alphabetic() || c == '_' || c == '#' => TokenKind::Word(self.word()),
            _ => {
                let hit = PUNCT
                    .iter()
                    .find(|p| p.chars().enumerate().all(|(i, x)| self.peek(i) == Some(x)));
                let Some(p) = hit else {
                    return Err(syntax(&c.to_string()).at_line(line));
                };
                self.at += p.len();
                TokenKind::Punct(p)
            }
        };
        Ok(Some(Token { kind, line, start, end: self.offset() }))
    }

    fn word(&mut self) -> String {
        let mut out = String::new();
        while let Some(c) = self.peek(0) {
            if c.is_alphanumeric() || matches!(c, '_' | '@' | '#' | '$') {
                out.push(c);
                self.bump();
            } else {
                break;
            }
        }
        out
    }

    fn number(&mut self) -> String {
        let mut out = String::new();
        let mut exponent = false;
        while let Some(c) = self.peek(0) {
            let sign = matches!(c, '+' | '-') && matches!(out.chars().last(), Some('e' | 'E'));
            if c.is_ascii_digit() || (c == '.' && !exponent && !out.contains('.')) || sign {
                out.push(c);
            } else if matches!(c, 'e' | 'E') && !exponent {
                exponent = true;
                out.push(c);
            } else {
                break;
            }
            self.bump();
        }
        out
    }

    fn quoted(&mut self, end: char) -> Result<String> {
        let line = self.line;
        self.bump();
        let mut out = String::new();
        loop {
            match self.bump() {
                Some(c) if c == end => {
                    if self.peek(0) == Some(end) {
                        self.bump();
                        out.push(end);
                    } else {
                        return Ok(out);
                    }
                }
                Some(c) => out.push(c),
                None => {
                    return Err(SqlError::new(
                        105,
                        15,
                        format!("Unclosed quotation mark after the character string '{out}'."),
                    )
                    .reach(Reach::Batch)
                    .at_line(line));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        lex(text).unwrap().into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn quotes_comments_and_numbers() {
        assert_eq!(
            kinds("N'it''s' [a]]b] \"c\" 1.5e-3 0xAf --x\n/* /* */ */ @p @@spid #t <>"),
            vec![
                TokenKind::NStr("it's".into()),
                TokenKind::Quoted("a]b".into()),
                TokenKind::Quoted("c".into()),
                TokenKind::Number("1.5e-3".into()),
                TokenKind::Hex(vec![0xaf]),
                TokenKind::Var("@p".into()),
                TokenKind::SysVar("@@spid".into()),
                TokenKind::Word("#t".into()),
                TokenKind::Punct("<>"),
                TokenKind::End,
            ]
        );
        assert_eq!(lex("'open").unwrap_err().number, 105);
        assert_eq!(lex("/* open").unwrap_err().number, 113);
    }
}
