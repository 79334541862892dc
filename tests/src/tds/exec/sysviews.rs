//! Catalog views: `sys.*` and `INFORMATION_SCHEMA.*`.

use super::Ctx;
use crate::tds::bind::OutCol;
use crate::tds::error::Result;
use crate::tds::types::Row;

/// A view's columns and rows.
pub(crate) type View = (Vec<OutCol>, Vec<Row>);

/// The view of that (lower-case) name, if the double has it.
pub(crate) fn view(
    _ctx: &mut Ctx<'_>,
    _schema: &str,
    _name: &str,
    _db: Option<&str>,
) -> Result<Option<View>> {
    Ok(None)
}
