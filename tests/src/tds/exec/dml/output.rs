//! The OUTPUT clause.

use super::*;

/// An OUTPUT clause, bound.
pub(super) struct BoundOutput {
    pub(super) items: Vec<TExpr>,
    pub(super) columns: Vec<OutCol>,
    pub(super) into: Option<(Writer, Vec<usize>)>,
}

pub(super) fn bind_output(
    b: &mut Binder<'_, '_>,
    output: &Output,
) -> Result<(Vec<TExpr>, Vec<OutCol>)> {
    let (mut items, mut columns) = (Vec::new(), Vec::new());
    for item in &output.items {
        match item {
            Item::Star(q) => b.star(q, &mut items, &mut columns)?,
            Item::Expr { expr, alias } => {
                let e = b.value(expr)?;
                let name = alias.clone().unwrap_or_else(|| match expr {
                    Expr::Column(parts) => parts.last().cloned().unwrap_or_default(),
                    _ => String::new(),
                });
                columns.push(b.out_column(&e, name));
                items.push(e);
            }
            Item::Assign { .. } => return Err(unsupported("an assignment in OUTPUT")),
        }
    }
    Ok((items, columns))
}

pub(super) fn output_into(
    ctx: &mut Ctx<'_>,
    output: &Output,
    width: usize,
) -> Result<Option<(Writer, Vec<usize>)>> {
    let Some((target, names)) = &output.into else { return Ok(None) };
    let (name, _) = target_name(target);
    let (db, def) = find_table(ctx, &name)?;
    ctx.require(db, "INSERT", &def)?;
    let writer = Writer::new(ctx, db, def)?;
    let columns = match names {
        Some(names) => named_columns(&writer, names)?,
        None => writer.insertable(),
    };
    if columns.len() != width {
        return Err(count_mismatch());
    }
    Ok(Some((writer, columns)))
}

impl BoundOutput {
    pub(super) fn emit(&self, ctx: &mut Ctx<'_>, tuple: &Tuple, out: &mut Outcome) -> Result<()> {
        let env = Env { tuple, ..Env::default() };
        let mut row = Vec::with_capacity(self.items.len());
        for e in &self.items {
            row.push(value(ctx, e, &env)?);
        }
        match &self.into {
            None => out.rows.push(Arc::from(row)),
            Some((writer, columns)) => {
                let mut stored = Vec::with_capacity(row.len());
                for ((v, e), c) in row.iter().zip(&self.items).zip(columns) {
                    stored.push(writer.store(ctx, *c, v, e.ty, "INSERT")?);
                }
                let full = writer.complete(ctx, columns, stored)?;
                writer.insert(ctx, full)?;
            }
        }
        Ok(())
    }
}
