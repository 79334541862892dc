//! From SQL text to [`Expr`], through sqlparser.

use sqlparser::ast::{self, BinaryOperator, UnaryOperator, Value};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::{Comparison, Expr, Literal, Operand};

/// Deep enough for any person, shallow enough for the stack.
const MAX_DEPTH: usize = 64;
/// What is parsed nests with each operator, parenthesis or not, and is shown and dropped recursively.
const MAX_WORDS: usize = 1_000;

pub(super) fn parse(text: &str) -> Result<Expr, String> {
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location();
    let tokens = tokens.map_err(|error| error.to_string())?;
    let words = tokens.iter().filter(|token| nests(token)).count();
    if words > MAX_WORDS {
        return Err(format!(
            "it has {words} words and signs, values and commas not counted, and may have \
             {MAX_WORDS}; write many values as one IN (…)"
        ));
    }
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    let parsed = parser.parse_expr().map_err(|error| error.to_string())?;
    match parser.peek_token().token {
        Token::EOF => expr(&parsed, MAX_DEPTH),
        rest => Err(format!("it goes on with \"{rest}\"")),
    }
}

/// Whether an expression can be deeper by it.
fn nests(token: &TokenWithSpan) -> bool {
    let flat = matches!(
        token.token,
        Token::Whitespace(_) | Token::Comma | Token::Number(..) | Token::SingleQuotedString(_)
    );
    !flat
}

/// At most `depth` operators deep, of which a chain of ANDs or of ORs counts as one.
fn expr(parsed: &ast::Expr, depth: usize) -> Result<Expr, String> {
    use ast::Expr as E;
    let depth = depth.checked_sub(1).ok_or("it is nested too deeply")?;
    let expr = |inner: &ast::Expr| expr(inner, depth);
    let negate = |expr: Expr, negated: bool| if negated { not(expr) } else { expr };
    Ok(match parsed {
        E::Nested(inner) => expr(inner)?,
        E::UnaryOp { op: UnaryOperator::Not, expr: inner } => not(expr(inner)?),
        E::BinaryOp { op: BinaryOperator::And, .. } => {
            chain(parsed, &BinaryOperator::And, depth, and)?
        }
        E::BinaryOp { op: BinaryOperator::Or, .. } => {
            chain(parsed, &BinaryOperator::Or, depth, or)?
        }
        E::BinaryOp { left, op, right } => {
            Expr::Compare(operand(left)?, comparison(op)?, operand(right)?)
        }
        E::IsNull(inner) => Expr::IsNull(operand(inner)?),
        E::IsNotNull(inner) => not(Expr::IsNull(operand(inner)?)),
        E::IsTrue(inner) => Expr::Is(Box::new(expr(inner)?), true),
        E::IsFalse(inner) => Expr::Is(Box::new(expr(inner)?), false),
        E::IsNotTrue(inner) => not(Expr::Is(Box::new(expr(inner)?), true)),
        E::IsNotFalse(inner) => not(Expr::Is(Box::new(expr(inner)?), false)),
        E::InList { expr: inner, list, negated } => {
            let list = list.iter().map(literal).collect::<Result<_, _>>()?;
            negate(Expr::In(operand(inner)?, list), *negated)
        }
        E::Between { expr: inner, negated, low, high } => {
            let inner = operand(inner)?;
            let low = Expr::Compare(inner.clone(), Comparison::GreaterOrEqual, operand(low)?);
            let high = Expr::Compare(inner, Comparison::LessOrEqual, operand(high)?);
            negate(and(low, high), *negated)
        }
        E::Like { negated, any: false, expr: inner, pattern, escape_char: None } => {
            match literal(pattern)? {
                Literal::Text(pattern) => negate(Expr::Like(operand(inner)?, pattern), *negated),
                _ => return Err("LIKE wants a text".to_owned()),
            }
        }
        E::Identifier(_) => match operand(parsed)? {
            Operand::Column(name) => Expr::Column(name),
            Operand::Literal(_) => return Err(format!("\"{parsed}\" is not a condition")),
        },
        E::Value(value) => match &value.value {
            Value::Boolean(value) => Expr::Constant(*value),
            _ => return Err(format!("\"{parsed}\" is not a condition")),
        },
        other => {
            return Err(format!(
                "\"{other}\" is not allowed; use columns, literals, comparisons, AND, OR, NOT, \
                 IN, BETWEEN, LIKE, IS NULL"
            ));
        }
    })
}

/// `a AND b AND …`, which the parser nests to the left, however long it is: balanced, so that nothing
/// that works on it goes deep.
fn chain(
    mut parsed: &ast::Expr,
    chained: &BinaryOperator,
    depth: usize,
    join: fn(Expr, Expr) -> Expr,
) -> Result<Expr, String> {
    let mut parts = Vec::new();
    while let ast::Expr::BinaryOp { left, op, right } = parsed
        && op == chained
    {
        parts.push(expr(right, depth)?);
        parsed = left;
    }
    let mut balanced = vec![expr(parsed, depth)?];
    balanced.extend(parts.into_iter().rev());
    while balanced.len() > 1 {
        let mut parts = balanced.into_iter();
        let pairs = std::iter::from_fn(|| {
            let left = parts.next()?;
            Some(match parts.next() {
                Some(right) => join(left, right),
                None => left,
            })
        });
        balanced = pairs.collect();
    }
    balanced.pop().ok_or_else(|| "it is empty".to_owned())
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::And(Box::new(left), Box::new(right))
}

fn or(left: Expr, right: Expr) -> Expr {
    Expr::Or(Box::new(left), Box::new(right))
}

fn comparison(op: &BinaryOperator) -> Result<Comparison, String> {
    Ok(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        other => return Err(format!("the operator {other} is not allowed")),
    })
}

fn operand(parsed: &ast::Expr) -> Result<Operand, String> {
    match parsed {
        ast::Expr::Nested(inner) => operand(inner),
        // As in the databases: an unquoted name is lower case.
        ast::Expr::Identifier(name) if name.quote_style.is_none() => {
            Ok(Operand::Column(name.value.to_lowercase()))
        }
        ast::Expr::Identifier(name) => Ok(Operand::Column(name.value.clone())),
        other => literal(other).map(Operand::Literal),
    }
}

fn literal(parsed: &ast::Expr) -> Result<Literal, String> {
    match parsed {
        ast::Expr::Nested(inner) => literal(inner),
        ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(expr)? {
            Literal::Number(digits) if !digits.starts_with('-') => {
                Ok(Literal::Number(format!("-{digits}")))
            }
            _ => Err(format!("\"{parsed}\" is not a literal")),
        },
        ast::Expr::Value(value) => match &value.value {
            Value::Number(digits, false) if is_plain(digits) => Ok(Literal::Number(digits.clone())),
            Value::SingleQuotedString(text) => Ok(Literal::Text(text.clone())),
            Value::Boolean(value) => Ok(Literal::Boolean(*value)),
            Value::Null => Err("NULL compares with nothing; use IS NULL".to_owned()),
            other => Err(format!("the literal {other} is not allowed")),
        },
        other => Err(format!(
            "\"{other}\" is not allowed; use a column or a literal, without functions or arithmetic"
        )),
    }
}

/// Digits with at most one point: no exponent, so that it means the same exact number everywhere.
fn is_plain(digits: &str) -> bool {
    digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.chars().any(|c| c.is_ascii_digit())
        && digits.chars().filter(|c| *c == '.').count() <= 1
}
