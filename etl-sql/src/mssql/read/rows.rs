//! Rows become Arrow columns.

use std::sync::Arc;

use arrow::array::{BooleanBufferBuilder, RecordBatch};
use arrow::datatypes::SchemaRef;
use etl_core::batch::Changes;
use etl_core::connector::OnSpecial;
use etl_core::error::{Error, Result};
use etl_core::quarantine::{Refused, Rejected};

use super::builder::{Builder, Why};
use super::fetch::Record;
use super::types::Wire;

/// A value that cannot be carried: which column, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The column's place.
    pub column: usize,
    /// What it holds and what to change, without the value.
    pub what: String,
    /// Whether the row is at fault; else the column has another type than it had.
    pub is_data: bool,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        if fault.is_data { Self::data(fault.what) } else { Self::schema(fault.what) }
    }
}

/// Columns that grow row by row.
pub struct Rows {
    schema: SchemaRef,
    columns: Vec<(Wire, Builder)>,
    deletes: BooleanBufferBuilder,
    /// By column.
    on_special: Vec<OnSpecial>,
    /// The columns of which deletes need the true value.
    is_key: Vec<bool>,
    /// Rows that are put aside; the columns have them until they are taken.
    refused: Refused,
    bytes: usize,
}

impl Rows {
    /// Empty columns for `schema`, whose fields arrive as `wires`.
    #[must_use]
    pub fn new(
        schema: SchemaRef,
        wires: &[Wire],
        is_key: Vec<bool>,
        on_special: Vec<OnSpecial>,
    ) -> Self {
        let columns = wires.iter().map(|wire| (*wire, Builder::new(&wire.arrow()))).collect();
        let deletes = BooleanBufferBuilder::new(0);
        let refused = Refused::default();
        Self { schema, columns, deletes, on_special, is_key, refused, bytes: 0 }
    }

    /// The number of rows since the last [`Rows::take`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.deletes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes the rows took on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row; of a delete only the key has to have a form. One that is to be put aside counts
    /// as a row until it is taken.
    ///
    /// # Errors
    /// A fault; the columns are then of no more use.
    pub fn push(&mut self, record: &Record, delete: bool) -> Result<(), Fault> {
        let mut aside: Option<Fault> = None;
        for (index, (wire, builder)) in self.columns.iter_mut().enumerate() {
            let nullable = self.schema.field(index).is_nullable();
            let on_special = self.on_special.get(index).copied().unwrap_or_default();
            let is_key = self.is_key.get(index).copied().unwrap_or(true);
            let needed = !delete || is_key;
            let Err(why) = builder.append(*wire, record.cell(index), nullable) else { continue };
            match (why, on_special) {
                (Why::Type, _) => {}
                (_, _) if !needed => {
                    builder.append_nothing(nullable);
                    continue;
                }
                (Why::NotANumber | Why::Infinite, OnSpecial::Null) if nullable => {
                    builder.append_nothing(true);
                    continue;
                }
                // Without its key a row could not be named.
                (_, OnSpecial::Quarantine) if !is_key => {
                    builder.append_nothing(nullable);
                    aside.get_or_insert_with(|| why.fault(index, *wire, nullable, on_special));
                    continue;
                }
                _ => {}
            }
            return Err(why.fault(index, *wire, nullable, on_special));
        }
        if let Some(Fault { column, what, .. }) = aside {
            self.refused.push(self.deletes.len(), self.schema.field(column).name(), what);
        }
        self.deletes.append(delete);
        self.bytes += record.size();
        Ok(())
    }

    /// The rows so far, and those that are put aside, named by the columns of `key`. Leaves empty
    /// columns.
    ///
    /// # Errors
    /// `Internal` if the columns do not fit the schema.
    pub fn take(&mut self, key: &[String]) -> Result<(Changes, Vec<Rejected>)> {
        self.bytes = 0;
        let columns = self
            .columns
            .iter_mut()
            .zip(self.schema.fields())
            .map(|((_, builder), field)| builder.finish(field.data_type()))
            .collect();
        let records = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let changes = Changes::new(records, Some(self.deletes.finish()))?;
        self.refused.take_out(changes, key)
    }
}

impl Why {
    fn fault(self, column: usize, wire: Wire, nullable: bool, on_special: OnSpecial) -> Fault {
        let declared = match wire {
            Wire::Decimal(precision, scale, _) => format!("decimal({precision},{scale})"),
            other => other.arrow().to_string(),
        };
        let special = |what: &str| {
            if on_special == OnSpecial::Null && !nullable {
                return format!(
                    "is {what}, and cannot become NULL in a NOT NULL column; correct it at the \
                     source"
                );
            }
            format!("is {what}; correct it at the source, or set on_special: null")
        };
        let what = match self {
            Self::Null => "is NULL although the column was NOT NULL; was the table altered?".into(),
            Self::Type => {
                "has another type than when the run began: the table was altered; run again, after \
                 the target was made to fit"
                    .into()
            }
            Self::NotANumber => special("NaN"),
            Self::Infinite => special("infinity"),
            Self::Precision => format!(
                "has more digits before the point than {declared} holds; declare a wider decimal \
                 under columns"
            ),
            Self::Scale => format!(
                "has more digits after the point than {declared} holds; declare a decimal with a \
                 greater scale under columns"
            ),
        };
        Fault { column, what, is_data: !matches!(self, Self::Type) }
    }
}
