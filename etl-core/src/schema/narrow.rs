//! Declarations that have less precision than the source's own type.
//!
//! What a source leaves open (a `numeric` without precision) may be declared as anything: each value
//! is looked at. But where the source itself says how many digits a column holds, a declaration of
//! fewer would fail on some row, some day, after others were written. So it is refused before the
//! first. A text may be declared shorter than at the source: an index may need it.

use std::collections::HashMap;
use std::fmt;

use arrow::datatypes::DataType;

use super::{Declared, meta};
use crate::error::{Error, Result};

impl Declared {
    /// Makes sure that it holds all that the source's own type, which is called `kind` there and
    /// becomes `own` with the [`meta`] entries `bounds`, says a column may hold.
    ///
    /// # Errors
    /// `Config` with a declaration that is wide enough.
    pub fn holds(
        self,
        column: &str,
        kind: &str,
        own: &DataType,
        bounds: &HashMap<String, String>,
    ) -> Result<()> {
        let Some((has, enough)) = self.lacks(own, bounds) else {
            return Ok(());
        };
        Err(Error::config(format!(
            "columns.{column}: {kind} {has}, and {self} would lose some of them; declare {enough} \
             or a wider one, or take the declaration out"
        )))
    }

    /// What the source's type has more of, and a declaration that holds it.
    fn lacks(self, own: &DataType, bounds: &HashMap<String, String>) -> Option<(String, Self)> {
        match (self, own) {
            (Self::Decimal(precision, scale), DataType::Decimal128(own_precision, own_scale)) => {
                decimal((precision, scale), (*own_precision, *own_scale))
            }
            (Self::Timestamp(digits) | Self::TimestampTz(digits) | Self::Time(digits), _) => {
                // Nothing carries more than six.
                let most = bounds.get(meta::FRACTION)?.parse::<u32>().ok()?.min(6);
                let enough = match self {
                    Self::Timestamp(_) => Self::Timestamp(most),
                    Self::TimestampTz(_) => Self::TimestampTz(most),
                    _ => Self::Time(most),
                };
                (digits < most).then(|| (format!("has {most} digits of a second"), enough))
            }
            _ => None,
        }
    }
}

fn decimal(declared: (u8, i8), own: (u8, i8)) -> Option<(String, Declared)> {
    let whole = |(precision, scale): (u8, i8)| i16::from(precision) - i16::from(scale);
    let (scale, digits) = (declared.1.max(own.1), whole(declared).max(whole(own)));
    let enough = u8::try_from(digits + i16::from(scale)).ok().filter(|precision| *precision <= 38);
    // Nothing holds both: then the source's own type does.
    let enough = enough.map_or(Declared::Decimal(own.0, own.1), |p| Declared::Decimal(p, scale));
    let has = if declared.1 < own.1 {
        format!("has {} digits after the point", own.1)
    } else if whole(declared) < whole(own) {
        format!("has {} digits before the point", whole(own))
    } else {
        return None;
    };
    Some((has, enough))
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::Chars(length) => write!(f, "varchar({length})"),
            Self::Units(length) => write!(f, "nvarchar({length})"),
            Self::Text => f.write_str("text"),
            Self::Timestamp(digits) => write!(f, "datetime2({digits})"),
            Self::TimestampTz(digits) => write!(f, "datetimeoffset({digits})"),
            Self::Time(digits) => write!(f, "time({digits})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn told(declared: &str, own: &DataType, bound: (&str, &str)) -> Option<String> {
        let bounds = HashMap::from([(bound.0.to_owned(), bound.1.to_owned())]);
        let declared = Declared::parse(declared).unwrap();
        declared.holds("a", "its type", own, &bounds).err().map(|error| error.to_string())
    }

    #[test]
    fn a_declaration_that_holds_less_is_told_from_one_that_holds_all() {
        let decimal = DataType::Decimal128(18, 4);
        let time = DataType::Time64(TimeUnit::Microsecond);
        for (declared, own, bound, enough) in [
            ("decimal(18,2)", &decimal, ("", ""), Some("decimal(20,4)")),
            ("decimal(17,4)", &decimal, ("", ""), Some("decimal(18,4)")),
            ("decimal(38,2)", &decimal, ("", ""), Some("decimal(18,4)")),
            ("decimal(20,6)", &decimal, ("", ""), None),
            ("text", &decimal, ("", ""), None),
            ("varchar(39)", &DataType::Utf8, (meta::MAX_CHARS, "40"), None),
            ("time(2)", &time, (meta::FRACTION, "3"), Some("time(3)")),
            ("time(6)", &time, (meta::FRACTION, "7"), None),
            ("time(0)", &time, ("", ""), None),
        ] {
            let told = told(declared, own, bound);
            assert_eq!(told.is_some(), enough.is_some(), "{declared}: {told:?}");
            for word in enough.into_iter().flat_map(|enough| [declared, enough, "columns.a"]) {
                assert!(told.as_ref().unwrap().contains(word), "{declared}: no {word} in {told:?}");
            }
        }
    }
}
