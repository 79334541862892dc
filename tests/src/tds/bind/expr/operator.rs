//! Types of comparisons and arithmetic.

use super::*;

pub(crate) fn compare_values(op: BinOp, a: TExpr, b: TExpr) -> Result<Pred> {
    let ty = common(a.ty, b.ty);
    if a.ty == SqlType::Variant || b.ty == SqlType::Variant {
        // Property functions return sql_variant; the other side decides.
        let ty = if a.ty == SqlType::Variant { b.ty } else { a.ty };
        let coll = compare_collation(a.label, b.label, op.words())?;
        return Ok(Pred::Compare {
            op,
            left: Box::new(convert_to(a, ty)),
            right: Box::new(convert_to(b, ty)),
            coll,
        });
    }
    let coll = if ty.is_text() { compare_collation(a.label, b.label, op.words())? } else { None };
    if !convert::implicit_allowed(a.ty, ty) || !convert::implicit_allowed(b.ty, ty) {
        return Err(SqlError::new(
            402,
            16,
            format!(
                "The data types {} and {} are incompatible in the {} operator.",
                a.ty.name(),
                b.ty.name(),
                op.words()
            ),
        )
        .reach(Reach::Batch));
    }
    let meet = comparison_type(ty);
    Ok(Pred::Compare {
        op,
        left: Box::new(meet_in(a, meet)),
        right: Box::new(meet_in(b, meet)),
        coll,
    })
}

/// Exact numbers and texts of the same family compare without conversion.
pub(super) fn meet_in(e: TExpr, ty: SqlType) -> TExpr {
    let same_family = (e.ty.is_integer() && ty.is_integer())
        || (e.ty.is_text() && ty.is_text() && e.ty.is_wide() == ty.is_wide())
        || (e.ty.is_binary() && ty.is_binary())
        || (matches!(e.ty, SqlType::Decimal(..)) && matches!(ty, SqlType::Decimal(..)));
    if same_family { e } else { convert_to(e, ty) }
}

pub(super) fn comparison_type(ty: SqlType) -> SqlType {
    match ty {
        SqlType::Char(_) | SqlType::VarChar(_) => SqlType::VarChar(Len::Max),
        SqlType::NChar(_) | SqlType::NVarChar(_) => SqlType::NVarChar(Len::Max),
        SqlType::Binary(_) | SqlType::VarBinary(_) => SqlType::VarBinary(Len::Max),
        SqlType::DateTime2(_) => SqlType::DateTime2(7),
        SqlType::DateTimeOffset(_) => SqlType::DateTimeOffset(7),
        SqlType::Time(_) => SqlType::Time(7),
        other => other,
    }
}

pub(super) fn number(text: &str) -> Result<TExpr> {
    if text.contains(['e', 'E']) {
        let f: f64 = text.parse().map_err(|_| syntax(text))?;
        return Ok(TExpr::constant(Value::Float(f), SqlType::Float));
    }
    let (n, scale) = decimal::parse(text).ok_or_else(|| syntax(text))?;
    if scale == 0 && !text.contains('.') && i32::try_from(n).is_ok() {
        return Ok(TExpr::constant(Value::Int(i64::try_from(n).unwrap_or_default()), SqlType::Int));
    }
    let digits = u8::try_from(n.unsigned_abs().to_string().len()).unwrap_or(39);
    let precision = digits.max(scale).max(1);
    if precision > 38 {
        return Err(SqlError::new(
            1007,
            15,
            format!("The number '{text}' is out of the range for numeric representation (maximum precision 38)."),
        )
        .reach(Reach::Batch));
    }
    Ok(TExpr::constant(Value::dec(n, scale), SqlType::Decimal(precision, scale)))
}

pub(super) fn operand(ty: SqlType, op: &str) -> SqlError {
    SqlError::new(
        8117,
        16,
        format!("Operand data type {} is invalid for {op} operator.", ty.name()),
    )
    .reach(Reach::Batch)
}

pub(crate) fn arithmetic(op: BinOp, a: TExpr, b: TExpr) -> Result<TExpr> {
    let nullable = true;
    if op == BinOp::Add {
        let text = |e: &TExpr| e.ty.is_text() || e.ty == SqlType::Null;
        if (a.ty.is_text() && text(&b)) || (b.ty.is_text() && text(&a)) {
            return concat(a, b);
        }
        if a.ty.is_binary() && b.ty.is_binary() {
            let n =
                a.ty.len()
                    .map_or(8000, Len::units)
                    .saturating_add(b.ty.len().map_or(8000, Len::units));
            let max = matches!(a.ty.len(), Some(Len::Max)) || matches!(b.ty.len(), Some(Len::Max));
            let len =
                if max { Len::Max } else { Len::N(u16::try_from(n.min(8000)).unwrap_or(8000)) };
            return Ok(TExpr {
                ty: SqlType::VarBinary(len),
                label: Label::None,
                nullable,
                kind: Kind::Concat(Box::new(a), Box::new(b)),
            });
        }
    }
    let legacy = |t: SqlType| matches!(t, SqlType::DateTime | SqlType::SmallDateTime);
    if legacy(a.ty) || legacy(b.ty) {
        if !matches!(op, BinOp::Add | BinOp::Sub) {
            return Err(operand(if legacy(a.ty) { a.ty } else { b.ty }, op.words()));
        }
        let ty = common(a.ty, b.ty);
        let (a, b) = (assign_cast(a, ty)?, assign_cast(b, ty)?);
        return Ok(TExpr {
            ty,
            label: Label::None,
            nullable,
            kind: Kind::Arith(op, Box::new(a), Box::new(b)),
        });
    }
    let mut ty = common(a.ty, b.ty);
    if ty == SqlType::Null {
        ty = SqlType::Int;
    }
    if ty == SqlType::Bit {
        return Err(SqlError::new(
            402,
            16,
            format!("The data types bit and bit are incompatible in the {} operator.", op.words()),
        )
        .reach(Reach::Batch));
    }
    if !ty.is_numeric() {
        if a.ty.is_temporal() || b.ty.is_temporal() {
            return Err(SqlError::new(
                206,
                16,
                format!("Operand type clash: {} is incompatible with {}", a.ty.name(), b.ty.name()),
            )
            .state(2)
            .reach(Reach::Batch));
        }
        return Err(operand(ty, op.words()));
    }
    let bitwise = matches!(op, BinOp::BitAnd | BinOp::BitOr | BinOp::BitXor);
    if bitwise && !ty.is_integer() {
        return Err(operand(ty, op.words()));
    }
    if let SqlType::Decimal(..) = ty {
        let (p1, s1) = operand_decimal(&a);
        let (p2, s2) = operand_decimal(&b);
        let (p1, s1, p2, s2) = (i32::from(p1), i32::from(s1), i32::from(p2), i32::from(s2));
        let result = match op {
            BinOp::Add | BinOp::Sub => {
                let s = s1.max(s2);
                fit_decimal(s + (p1 - s1).max(p2 - s2) + 1, s)
            }
            BinOp::Mul => fit_decimal(p1 + p2 + 1, s1 + s2),
            BinOp::Div => {
                let s = (s1 + p2 + 1).max(6);
                fit_decimal(p1 - s1 + s2 + s, s)
            }
            _ => fit_decimal((p1 - s1).min(p2 - s2) + s1.max(s2), s1.max(s2)),
        };
        let side = |e: TExpr| -> Result<TExpr> {
            if matches!(e.ty, SqlType::Decimal(..)) || e.ty.is_integer() || e.ty.is_money() {
                Ok(e)
            } else {
                assign_cast(e, ty)
            }
        };
        let (a, b) = (side(a)?, side(b)?);
        return Ok(TExpr {
            ty: result,
            label: Label::None,
            nullable,
            kind: Kind::Arith(op, Box::new(a), Box::new(b)),
        });
    }
    let (a, b) = (assign_cast(a, ty)?, assign_cast(b, ty)?);
    Ok(TExpr { ty, label: Label::None, nullable, kind: Kind::Arith(op, Box::new(a), Box::new(b)) })
}

/// Precision and scale of an operand; an integer literal counts its digits.
pub(super) fn operand_decimal(e: &TExpr) -> (u8, u8) {
    match (&e.kind, e.ty) {
        (Kind::Const(Value::Int(n)), _) => {
            (u8::try_from(n.unsigned_abs().to_string().len()).unwrap_or(19), 0)
        }
        (_, ty) => ty.as_decimal(),
    }
}

pub(super) fn concat(a: TExpr, b: TExpr) -> Result<TExpr> {
    let wide = a.ty.is_wide() || b.ty.is_wide();
    let limit: u16 = if wide { 4000 } else { 8000 };
    let length = |e: &TExpr| match e.ty.len() {
        Some(Len::N(n)) => usize::from(n),
        Some(Len::Max) => usize::MAX / 8,
        None => 1,
    };
    let max = matches!(a.ty.len(), Some(Len::Max)) || matches!(b.ty.len(), Some(Len::Max));
    let total = length(&a) + length(&b);
    let len = if max {
        Len::Max
    } else {
        Len::N(u16::try_from(total.min(usize::from(limit))).unwrap_or(limit))
    };
    let ty = if wide { SqlType::NVarChar(len) } else { SqlType::VarChar(len) };
    let label = merge(a.label, b.label, "add")?;
    let nullable = a.nullable || b.nullable;
    let kind = Kind::Concat(Box::new(a), Box::new(b));
    Ok(TExpr { ty, label, nullable, kind })
}
