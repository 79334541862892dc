//! The types of columns, variables and expressions.

use serde::{Deserialize, Serialize};

/// A declared length: characters for text, bytes for binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Len {
    /// `(max)`.
    Max,
    /// `(n)`.
    N(u16),
}

impl Len {
    /// The length as a number; `max` counts as very long.
    pub(crate) fn units(self) -> usize {
        match self {
            Len::Max => usize::MAX / 4,
            Len::N(n) => usize::from(n),
        }
    }

    /// The length that holds `n` units, `max` beyond `limit`.
    pub(crate) fn of(n: usize, limit: u16) -> Len {
        match u16::try_from(n) {
            Ok(n) if n <= limit => Len::N(n.max(1)),
            _ => Len::Max,
        }
    }
}

/// A SQL Server type with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum SqlType {
    /// The type of the bare word `NULL`.
    Null,
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    SmallMoney,
    Money,
    Decimal(u8, u8),
    Real,
    Float,
    Date,
    Time(u8),
    SmallDateTime,
    DateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    Char(u16),
    VarChar(Len),
    NChar(u16),
    NVarChar(Len),
    Binary(u16),
    VarBinary(Len),
    Guid,
    /// `sql_variant`, only as the result of property functions.
    Variant,
}

impl SqlType {
    pub(crate) const SYSNAME: SqlType = SqlType::NVarChar(Len::N(128));

    /// Higher wins when two types meet (Data type precedence).
    pub(crate) fn precedence(self) -> u8 {
        match self {
            SqlType::Null => 0,
            SqlType::Binary(_) => 1,
            SqlType::VarBinary(_) => 2,
            SqlType::Char(_) => 3,
            SqlType::VarChar(_) => 4,
            SqlType::NChar(_) => 5,
            SqlType::NVarChar(_) => 6,
            SqlType::Guid => 7,
            SqlType::Bit => 8,
            SqlType::TinyInt => 9,
            SqlType::SmallInt => 10,
            SqlType::Int => 11,
            SqlType::BigInt => 12,
            SqlType::SmallMoney => 13,
            SqlType::Money => 14,
            SqlType::Decimal(..) => 15,
            SqlType::Real => 16,
            SqlType::Float => 17,
            SqlType::Time(_) => 18,
            SqlType::Date => 19,
            SqlType::SmallDateTime => 20,
            SqlType::DateTime => 21,
            SqlType::DateTime2(_) => 22,
            SqlType::DateTimeOffset(_) => 23,
            SqlType::Variant => 24,
        }
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(
            self,
            SqlType::Bit | SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt
        )
    }

    pub(crate) fn is_money(self) -> bool {
        matches!(self, SqlType::Money | SqlType::SmallMoney)
    }

    pub(crate) fn is_approximate(self) -> bool {
        matches!(self, SqlType::Real | SqlType::Float)
    }

    pub(crate) fn is_numeric(self) -> bool {
        self.is_integer()
            || self.is_money()
            || self.is_approximate()
            || matches!(self, SqlType::Decimal(..))
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(
            self,
            SqlType::Char(_) | SqlType::VarChar(_) | SqlType::NChar(_) | SqlType::NVarChar(_)
        )
    }

    /// Text stored as UTF-16.
    pub(crate) fn is_wide(self) -> bool {
        matches!(self, SqlType::NChar(_) | SqlType::NVarChar(_))
    }

    pub(crate) fn is_binary(self) -> bool {
        matches!(self, SqlType::Binary(_) | SqlType::VarBinary(_))
    }

    pub(crate) fn is_temporal(self) -> bool {
        matches!(
            self,
            SqlType::Date
                | SqlType::Time(_)
                | SqlType::SmallDateTime
                | SqlType::DateTime
                | SqlType::DateTime2(_)
                | SqlType::DateTimeOffset(_)
        )
    }

    /// The declared length of text and binary types.
    pub(crate) fn len(self) -> Option<Len> {
        match self {
            SqlType::Char(n) | SqlType::NChar(n) | SqlType::Binary(n) => Some(Len::N(n)),
            SqlType::VarChar(l) | SqlType::NVarChar(l) | SqlType::VarBinary(l) => Some(l),
            _ => None,
        }
    }

    /// The decimal type that holds every value of a numeric type.
    pub(crate) fn as_decimal(self) -> (u8, u8) {
        match self {
            SqlType::Bit => (1, 0),
            SqlType::TinyInt => (3, 0),
            SqlType::SmallInt => (5, 0),
            SqlType::Int => (10, 0),
            SqlType::BigInt => (19, 0),
            SqlType::SmallMoney => (10, 4),
            SqlType::Money => (19, 4),
            SqlType::Decimal(p, s) => (p, s),
            _ => (38, 10),
        }
    }

    /// Sub-second digits of a temporal type.
    pub(crate) fn time_scale(self) -> u8 {
        match self {
            SqlType::Time(s) | SqlType::DateTime2(s) | SqlType::DateTimeOffset(s) => s,
            SqlType::DateTime => 3,
            _ => 0,
        }
    }

    /// The bare name, as `sys.types` and messages show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            SqlType::Null | SqlType::Int => "int",
            SqlType::Bit => "bit",
            SqlType::TinyInt => "tinyint",
            SqlType::SmallInt => "smallint",
            SqlType::BigInt => "bigint",
            SqlType::SmallMoney => "smallmoney",
            SqlType::Money => "money",
            SqlType::Decimal(..) => "decimal",
            SqlType::Real => "real",
            SqlType::Float => "float",
            SqlType::Date => "date",
            SqlType::Time(_) => "time",
            SqlType::SmallDateTime => "smalldatetime",
            SqlType::DateTime => "datetime",
            SqlType::DateTime2(_) => "datetime2",
            SqlType::DateTimeOffset(_) => "datetimeoffset",
            SqlType::Char(_) => "char",
            SqlType::VarChar(_) => "varchar",
            SqlType::NChar(_) => "nchar",
            SqlType::NVarChar(_) => "nvarchar",
            SqlType::Binary(_) => "binary",
            SqlType::VarBinary(_) => "varbinary",
            SqlType::Guid => "uniqueidentifier",
            SqlType::Variant => "sql_variant",
        }
    }

    /// `sys.types.system_type_id`.
    pub(crate) fn system_type_id(self) -> u8 {
        match self {
            SqlType::Null | SqlType::Int => 56,
            SqlType::Bit => 104,
            SqlType::TinyInt => 48,
            SqlType::SmallInt => 52,
            SqlType::BigInt => 127,
            SqlType::SmallMoney => 122,
            SqlType::Money => 60,
            SqlType::Decimal(..) => 106,
            SqlType::Real => 59,
            SqlType::Float => 62,
            SqlType::Date => 40,
            SqlType::Time(_) => 41,
            SqlType::SmallDateTime => 58,
            SqlType::DateTime => 61,
            SqlType::DateTime2(_) => 42,
            SqlType::DateTimeOffset(_) => 43,
            SqlType::Char(_) => 175,
            SqlType::VarChar(_) => 167,
            SqlType::NChar(_) => 239,
            SqlType::NVarChar(_) => 231,
            SqlType::Binary(_) => 173,
            SqlType::VarBinary(_) => 165,
            SqlType::Guid => 36,
            SqlType::Variant => 98,
        }
    }

    /// `sys.columns.max_length`: bytes, -1 for `max`.
    pub(crate) fn max_length(self) -> i64 {
        match self {
            SqlType::Null
            | SqlType::Int
            | SqlType::Real
            | SqlType::SmallMoney
            | SqlType::SmallDateTime => 4,
            SqlType::Bit | SqlType::TinyInt => 1,
            SqlType::SmallInt => 2,
            SqlType::BigInt | SqlType::Money | SqlType::Float | SqlType::DateTime => 8,
            SqlType::Decimal(p, _) => match p {
                0..=9 => 5,
                10..=19 => 9,
                20..=28 => 13,
                _ => 17,
            },
            SqlType::Date => 3,
            SqlType::Time(s) => time_bytes(s),
            SqlType::DateTime2(s) => time_bytes(s) + 3,
            SqlType::DateTimeOffset(s) => time_bytes(s) + 5,
            SqlType::Char(n) | SqlType::Binary(n) => i64::from(n),
            SqlType::NChar(n) => i64::from(n) * 2,
            SqlType::VarChar(Len::N(n)) | SqlType::VarBinary(Len::N(n)) => i64::from(n),
            SqlType::NVarChar(Len::N(n)) => i64::from(n) * 2,
            SqlType::VarChar(Len::Max)
            | SqlType::NVarChar(Len::Max)
            | SqlType::VarBinary(Len::Max) => -1,
            SqlType::Guid => 16,
            SqlType::Variant => 8016,
        }
    }

    /// `sys.columns.precision` and `.scale`.
    pub(crate) fn precision_scale(self) -> (u8, u8) {
        match self {
            SqlType::Null | SqlType::Int => (10, 0),
            SqlType::Bit => (1, 0),
            SqlType::TinyInt => (3, 0),
            SqlType::SmallInt => (5, 0),
            SqlType::BigInt => (19, 0),
            SqlType::SmallMoney => (10, 4),
            SqlType::Money => (19, 4),
            SqlType::Decimal(p, s) => (p, s),
            SqlType::Real => (24, 0),
            SqlType::Float => (53, 0),
            SqlType::Date => (10, 0),
            SqlType::Time(s) => (if s == 0 { 8 } else { 9 + s }, s),
            SqlType::SmallDateTime => (16, 0),
            SqlType::DateTime => (23, 3),
            SqlType::DateTime2(s) => (if s == 0 { 19 } else { 20 + s }, s),
            SqlType::DateTimeOffset(s) => (if s == 0 { 26 } else { 27 + s }, s),
            _ => (0, 0),
        }
    }

    /// The type as it is written in a declaration.
    pub(crate) fn declaration(self) -> String {
        let name = self.name();
        match self {
            SqlType::Decimal(p, s) => format!("{name}({p},{s})"),
            SqlType::Time(s) | SqlType::DateTime2(s) | SqlType::DateTimeOffset(s) => {
                format!("{name}({s})")
            }
            _ => match self.len() {
                Some(Len::Max) => format!("{name}(max)"),
                Some(Len::N(n)) => format!("{name}({n})"),
                None => name.to_owned(),
            },
        }
    }
}

fn time_bytes(scale: u8) -> i64 {
    match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    }
}

/// The result type of a decimal operation, squeezed into 38 digits as the server does.
pub(crate) fn fit_decimal(precision: i32, scale: i32) -> SqlType {
    let (mut p, mut s) = (precision, scale);
    if p > 38 {
        let integral = p - s;
        s = (38 - integral).max(s.min(6)).max(0);
        p = 38;
    }
    s = s.clamp(0, p);
    SqlType::Decimal(u8::try_from(p).unwrap_or(38), u8::try_from(s).unwrap_or(0))
}

/// The type in which two operands meet (comparison, CASE, UNION, COALESCE).
pub(crate) fn common(a: SqlType, b: SqlType) -> SqlType {
    if a == b {
        return a;
    }
    let (high, low) = if a.precedence() >= b.precedence() { (a, b) } else { (b, a) };
    if low == SqlType::Null {
        return high;
    }
    let longest = |limit: u16| match (high.len(), low.len()) {
        (Some(Len::N(x)), Some(Len::N(y))) => Len::N(x.max(y)),
        (Some(Len::Max), _) | (_, Some(Len::Max)) => Len::Max,
        (Some(x), None) => x,
        _ => Len::N(limit),
    };
    match high {
        SqlType::Decimal(p, s) => {
            if low.is_numeric() && !low.is_approximate() {
                let (lp, ls) = low.as_decimal();
                let scale = s.max(ls);
                let integral = (p - s).max(lp.saturating_sub(ls));
                fit_decimal(i32::from(integral) + i32::from(scale), i32::from(scale))
            } else {
                SqlType::Decimal(p, s)
            }
        }
        SqlType::Char(_) if low.is_text() => match (high, low) {
            (SqlType::Char(x), SqlType::Char(y)) => SqlType::Char(x.max(y)),
            _ => SqlType::VarChar(longest(8000)),
        },
        SqlType::VarChar(_) => SqlType::VarChar(longest(8000)),
        SqlType::NChar(x) if low.is_text() => match low {
            SqlType::NChar(y) => SqlType::NChar(x.max(y)),
            _ => SqlType::NVarChar(longest(4000)),
        },
        SqlType::NVarChar(_) => SqlType::NVarChar(match longest(4000) {
            Len::N(n) if n > 4000 => Len::N(4000),
            l => l,
        }),
        SqlType::VarBinary(_) => SqlType::VarBinary(longest(8000)),
        SqlType::Time(s) => {
            SqlType::Time(s.max(if low.is_temporal() { low.time_scale() } else { 0 }))
        }
        SqlType::DateTime2(s) => SqlType::DateTime2(s.max(temporal_scale(low))),
        SqlType::DateTimeOffset(s) => SqlType::DateTimeOffset(s.max(temporal_scale(low))),
        _ => high,
    }
}

fn temporal_scale(ty: SqlType) -> u8 {
    if ty.is_temporal() { ty.time_scale() } else { 0 }
}
