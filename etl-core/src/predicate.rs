//! One boolean SQL expression over a stream's columns: parsed, checked, evaluated on Arrow, and
//! written out again for a database.
//!
//! What it may hold, all of it immutable: columns, numbers, texts, TRUE, FALSE; `=`, `<>`, `<`,
//! `<=`, `>`, `>=`; AND, OR, NOT, parentheses; `IS [NOT] NULL`, `IS [NOT] TRUE`,
//! `IS [NOT] FALSE`; `[NOT] IN (…)`, `[NOT] BETWEEN`, `[NOT] LIKE`. No function, no subquery.

mod evaluate;
mod parse;

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;

use crate::error::{Error, Result};

/// One boolean expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate(Expr);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expr {
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Compare(Operand, Comparison, Operand),
    IsNull(Operand),
    /// Whether the inner expression is true (or false); never NULL.
    Is(Box<Expr>, bool),
    In(Operand, Vec<Literal>),
    Like(Operand, String),
    Column(String),
    Constant(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Column(String),
    Literal(Literal),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Literal {
    Number(String),
    Text(String),
    Boolean(bool),
}

/// How a database writes names and texts.
pub struct Dialect<'a> {
    /// Quotes a column's name.
    pub name: &'a dyn Fn(&str) -> Result<String>,
    /// Quotes a text.
    pub text: &'a dyn Fn(&str) -> String,
    /// What it takes for a truth value.
    pub booleans: Booleans,
}

/// How a database writes truth values and patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booleans {
    /// `TRUE`, `FALSE` and `IS TRUE`, as in the standard; `\` escapes in LIKE.
    Keywords,
    /// As in T-SQL: a condition is no value and a column no condition; `[` means something in
    /// LIKE, and nothing escapes unless it is said what.
    Bits,
}

impl Predicate {
    /// Reads one boolean expression.
    ///
    /// # Errors
    /// `Config`, with what is not allowed and what is.
    pub fn parse(text: &str) -> Result<Self> {
        parse::parse(text).map(Self).map_err(|what| {
            Error::config(format!(
                "\"{text}\" is not one boolean expression over the stream's columns: {what}"
            ))
        })
    }

    /// The names of the columns in it.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.0.visit(&mut |name| {
            names.insert(name);
        });
        names
    }

    /// Checks that it can be evaluated on rows of `schema`.
    ///
    /// # Errors
    /// `Config` with the column that is missing or has another type.
    pub fn check(&self, schema: &Schema) -> Result<()> {
        if let Some(missing) = self.columns().into_iter().find(|n| schema.index_of(n).is_err()) {
            return Err(Error::config(format!("there is no column {missing} in the stream")));
        }
        let empty = RecordBatch::new_empty(std::sync::Arc::new(schema.clone()));
        self.evaluate(&empty).map(drop)
    }

    /// One bit per row, set where the expression is true (not false and not NULL).
    ///
    /// # Errors
    /// `Config` if a comparison does not fit its column's type.
    pub fn evaluate(&self, records: &RecordBatch) -> Result<BooleanBuffer> {
        evaluate::is_true(&self.0, records)
    }

    /// The expression as SQL.
    ///
    /// # Errors
    /// As the dialect's quoting.
    pub fn to_sql(&self, dialect: &Dialect<'_>) -> Result<String> {
        self.0.to_sql(dialect)
    }
}

impl Expr {
    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a str)) {
        match self {
            Self::And(a, b) | Self::Or(a, b) => {
                a.visit(see);
                b.visit(see);
            }
            Self::Not(inner) | Self::Is(inner, _) => inner.visit(see),
            Self::Compare(a, _, b) => {
                a.visit(see);
                b.visit(see);
            }
            Self::IsNull(operand) | Self::In(operand, _) | Self::Like(operand, _) => {
                operand.visit(see);
            }
            Self::Column(name) => see(name),
            Self::Constant(_) => {}
        }
    }

    fn to_sql(&self, dialect: &Dialect<'_>) -> Result<String> {
        Ok(match self {
            Self::And(a, b) => format!("({} AND {})", a.to_sql(dialect)?, b.to_sql(dialect)?),
            Self::Or(a, b) => format!("({} OR {})", a.to_sql(dialect)?, b.to_sql(dialect)?),
            Self::Not(inner) => format!("(NOT {})", inner.to_sql(dialect)?),
            Self::Compare(a, comparison, b) => {
                format!("({} {} {})", a.to_sql(dialect)?, comparison.symbol(), b.to_sql(dialect)?)
            }
            Self::IsNull(operand) => format!("({} IS NULL)", operand.to_sql(dialect)?),
            Self::Is(inner, value) => match (dialect.booleans, value) {
                (Booleans::Keywords, true) => format!("({} IS TRUE)", inner.to_sql(dialect)?),
                (Booleans::Keywords, false) => format!("({} IS FALSE)", inner.to_sql(dialect)?),
                (Booleans::Bits, true) => {
                    format!("(CASE WHEN {} THEN 1 ELSE 0 END = 1)", inner.to_sql(dialect)?)
                }
                (Booleans::Bits, false) => {
                    format!("(CASE WHEN NOT {} THEN 1 ELSE 0 END = 1)", inner.to_sql(dialect)?)
                }
            },
            Self::In(operand, list) => {
                let list: Vec<_> = list.iter().map(|literal| literal.to_sql(dialect)).collect();
                format!("({} IN ({}))", operand.to_sql(dialect)?, list.join(", "))
            }
            Self::Like(operand, pattern) => {
                let operand = operand.to_sql(dialect)?;
                match dialect.booleans {
                    Booleans::Keywords => format!("({operand} LIKE {})", (dialect.text)(pattern)),
                    Booleans::Bits => {
                        let pattern = (dialect.text)(&pattern.replace('[', "\\["));
                        format!("({operand} LIKE {pattern} ESCAPE {})", (dialect.text)("\\"))
                    }
                }
            }
            Self::Column(name) => match dialect.booleans {
                Booleans::Keywords => (dialect.name)(name)?,
                Booleans::Bits => format!("({} = 1)", (dialect.name)(name)?),
            },
            Self::Constant(value) => match (dialect.booleans, value) {
                (Booleans::Keywords, _) => truth(*value, dialect).to_owned(),
                (Booleans::Bits, true) => "(1 = 1)".to_owned(),
                (Booleans::Bits, false) => "(1 = 0)".to_owned(),
            },
        })
    }
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

impl Operand {
    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a str)) {
        if let Self::Column(name) = self {
            see(name);
        }
    }

    fn to_sql(&self, dialect: &Dialect<'_>) -> Result<String> {
        match self {
            Self::Column(name) => (dialect.name)(name),
            Self::Literal(literal) => Ok(literal.to_sql(dialect)),
        }
    }
}

impl Literal {
    fn to_sql(&self, dialect: &Dialect<'_>) -> String {
        match self {
            Self::Number(digits) => digits.clone(),
            Self::Text(text) => (dialect.text)(text),
            Self::Boolean(value) => truth(*value, dialect).to_owned(),
        }
    }
}

fn truth(value: bool, dialect: &Dialect<'_>) -> &'static str {
    match (dialect.booleans, value) {
        (Booleans::Keywords, true) => "TRUE",
        (Booleans::Keywords, false) => "FALSE",
        (Booleans::Bits, true) => "1",
        (Booleans::Bits, false) => "0",
    }
}

#[cfg(test)]
mod tests;
