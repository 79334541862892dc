//! Data type names.

use super::Parser;
use super::lexer::TokenKind;
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::types::{Len, SqlType};

enum Arg {
    Max,
    N(i64),
}

impl Parser<'_> {
    /// A type such as `decimal(18, 2)` or `[sys].[nvarchar](max)`.
    pub(super) fn data_type(&mut self) -> Result<SqlType> {
        let line = self.line();
        let mut name = self.type_word()?;
        if self.eat(".") {
            name = self.type_word()?;
        }
        let mut args = Vec::new();
        if self.eat("(") {
            loop {
                if self.eat_word("MAX") {
                    args.push(Arg::Max);
                } else {
                    args.push(Arg::N(self.integer()?));
                }
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        resolve(&name, &args).map_err(|e| e.at_line(line))
    }

    fn type_word(&mut self) -> Result<String> {
        let word = match self.peek() {
            TokenKind::Word(w) | TokenKind::Quoted(w) => w.to_ascii_lowercase(),
            _ => return Err(self.unexpected()),
        };
        self.next();
        if word == "double" && self.eat_word("PRECISION") {
            return Ok("float".to_owned());
        }
        if matches!(word.as_str(), "character" | "char" | "national") && self.eat_word("VARYING") {
            return Ok("varchar".to_owned());
        }
        Ok(word)
    }
}

fn resolve(name: &str, args: &[Arg]) -> Result<SqlType> {
    let bad = |text: String| SqlError::new(1001, 15, text).reach(Reach::Batch);
    let length = |limit: u16, default: u16| {
        match args {
        [] => Ok(Len::N(default)),
        [Arg::Max] => Ok(Len::Max),
        [Arg::N(n)] => match u16::try_from(*n) {
            Ok(n) if n >= 1 && n <= limit => Ok(Len::N(n)),
            Ok(0) => Err(bad("Line 1: Length or precision specification 0 is invalid.".to_owned())),
            _ => Err(SqlError::new(
                131,
                15,
                format!("The size ({n}) given to the type '{name}' exceeds the maximum allowed for any data type (8000)."),
            )
            .reach(Reach::Batch)),
        },
        _ => Err(bad(format!("Invalid length of type '{name}'."))),
    }
    };
    let fixed = |limit: u16| match length(limit, 1)? {
        Len::N(n) => Ok(n),
        Len::Max => Err(bad(format!("Type '{name}' cannot be max."))),
    };
    let scale = |default: u8| match args {
        [] => Ok(default),
        [Arg::N(n @ 0..=7)] => Ok(u8::try_from(*n).unwrap_or(7)),
        _ => Err(SqlError::new(1002, 15, "Specified scale is invalid.").reach(Reach::Batch)),
    };
    let plain = |ty: SqlType| {
        if args.is_empty() {
            Ok(ty)
        } else {
            Err(SqlError::new(2716, 16, format!("Column, parameter, or variable: Cannot specify a column width on data type {name}."))
                .reach(Reach::Batch))
        }
    };
    match name {
        "bit" => plain(SqlType::Bit),
        "tinyint" => plain(SqlType::TinyInt),
        "smallint" => plain(SqlType::SmallInt),
        "int" | "integer" => plain(SqlType::Int),
        "bigint" => plain(SqlType::BigInt),
        "money" => plain(SqlType::Money),
        "smallmoney" => plain(SqlType::SmallMoney),
        "real" => plain(SqlType::Real),
        "float" => match args {
            [] => Ok(SqlType::Float),
            [Arg::N(1..=24)] => Ok(SqlType::Real),
            [Arg::N(25..=53)] => Ok(SqlType::Float),
            _ => Err(bad("Length or precision specification is invalid.".to_owned())),
        },
        "decimal" | "numeric" | "dec" => {
            let (p, s) = match args {
                [] => (18, 0),
                [Arg::N(p)] => (*p, 0),
                [Arg::N(p), Arg::N(s)] => (*p, *s),
                _ => return Err(bad("Length or precision specification is invalid.".to_owned())),
            };
            match (u8::try_from(p), u8::try_from(s)) {
                (Ok(p @ 1..=38), Ok(s)) if s <= p => Ok(SqlType::Decimal(p, s)),
                (Ok(1..=38), _) => Err(SqlError::new(192, 15, "The scale must be less than or equal to the precision.")
                    .reach(Reach::Batch)),
                _ => Err(SqlError::new(
                    2750,
                    16,
                    format!("Column or parameter: Specified column precision {p} is greater than the maximum precision of 38."),
                )
                .reach(Reach::Batch)),
            }
        }
        "date" => plain(SqlType::Date),
        "datetime" => plain(SqlType::DateTime),
        "smalldatetime" => plain(SqlType::SmallDateTime),
        "time" => Ok(SqlType::Time(scale(7)?)),
        "datetime2" => Ok(SqlType::DateTime2(scale(7)?)),
        "datetimeoffset" => Ok(SqlType::DateTimeOffset(scale(7)?)),
        "char" | "character" => Ok(SqlType::Char(fixed(8000)?)),
        "nchar" => Ok(SqlType::NChar(fixed(4000)?)),
        "binary" => Ok(SqlType::Binary(fixed(8000)?)),
        "varchar" => Ok(SqlType::VarChar(length(8000, 1)?)),
        "nvarchar" => Ok(SqlType::NVarChar(length(4000, 1)?)),
        "varbinary" => Ok(SqlType::VarBinary(length(8000, 1)?)),
        "sysname" => plain(SqlType::SYSNAME),
        "uniqueidentifier" => plain(SqlType::Guid),
        "sql_variant" => plain(SqlType::Variant),
        "text" | "ntext" | "image" | "xml" | "rowversion" | "timestamp" | "geography"
        | "geometry" | "hierarchyid" | "json" | "vector" => {
            Err(unsupported(format!("data type {name}")))
        }
        _ => Err(SqlError::new(
            2715,
            16,
            format!("Column, parameter, or variable #1: Cannot find data type {name}."),
        )
        .reach(Reach::Batch)),
    }
}

/// CAST and CONVERT without a length mean 30, declarations 1.
pub(super) fn cast_length(ty: SqlType, had_length: bool) -> SqlType {
    if had_length {
        return ty;
    }
    match ty {
        SqlType::Char(_) => SqlType::Char(30),
        SqlType::NChar(_) => SqlType::NChar(30),
        SqlType::Binary(_) => SqlType::Binary(30),
        SqlType::VarChar(_) => SqlType::VarChar(Len::N(30)),
        SqlType::NVarChar(_) => SqlType::NVarChar(Len::N(30)),
        SqlType::VarBinary(_) => SqlType::VarBinary(Len::N(30)),
        other => other,
    }
}
