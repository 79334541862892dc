//! SQL Server's type system: types, values, collations, conversions, index keys.

pub(crate) mod codepage;
pub(crate) mod collation;
pub(crate) mod convert;
pub(crate) mod datetime;
pub(crate) mod decimal;
pub(crate) mod key;
pub(crate) mod sqltype;
pub(crate) mod value;

pub(crate) use collation::Coll;
pub(crate) use sqltype::{Len, SqlType};
pub(crate) use value::{Row, Value};
