//! Scalar functions: arguments, result types. The bodies are in `exec::functions`.

use super::expr::{compare_collation, compare_values, merge};
use super::{Binder, Body, Kind, Label, TExpr, assign_cast, convert_to};
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::exec::functions as body;
use crate::tds::parse::ast::{BinOp, Expr, OrderItem, Over};
use crate::tds::types::datetime::Part;
use crate::tds::types::{Len, SqlType, Value};

const NMAX: SqlType = SqlType::NVarChar(Len::Max);
const N4000: SqlType = SqlType::NVarChar(Len::N(4000));
const SYSNAME: SqlType = SqlType::SYSNAME;

/// What an argument is converted to.
#[derive(Clone, Copy)]
enum Arg {
    Any,
    Text,
    Int,
    Name,
}

type Row = (&'static str, &'static [Arg], usize, SqlType, Body);

/// Name, arguments, how many of them are required, result type, body.
const TABLE: &[Row] = {
    use Arg::{Any, Int, Name, Text};
    use SqlType::{BigInt, DateTime, DateTime2, DateTimeOffset, Float, Guid, Variant};
    const INT: SqlType = SqlType::Int;
    &[
        ("LEN", &[Text], 1, INT, body::len),
        ("ASCII", &[Text], 1, INT, body::ascii),
        ("UNICODE", &[Text], 1, INT, body::unicode),
        ("CHAR", &[Int], 1, SqlType::Char(1), body::char),
        ("NCHAR", &[Int], 1, SqlType::NChar(1), body::nchar),
        ("DATALENGTH", &[Any], 1, INT, body::datalength),
        ("ISNUMERIC", &[Any], 1, INT, body::isnumeric),
        ("ISDATE", &[Text], 1, INT, body::isdate),
        ("HASHBYTES", &[Text, Any], 2, SqlType::VarBinary(Len::N(8000)), body::hashbytes),
        ("CHECKSUM", &[Any], 1, INT, body::checksum),
        ("NEWID", &[], 0, Guid, body::newid),
        ("NEWSEQUENTIALID", &[], 0, Guid, body::newid),
        ("SYSUTCDATETIME", &[], 0, DateTime2(7), body::now2),
        ("SYSDATETIME", &[], 0, DateTime2(7), body::now2),
        ("SYSDATETIMEOFFSET", &[], 0, DateTimeOffset(7), body::now_offset),
        ("GETDATE", &[], 0, DateTime, body::now_datetime),
        ("GETUTCDATE", &[], 0, DateTime, body::now_datetime),
        ("CURRENT_TIMESTAMP", &[], 0, DateTime, body::now_datetime),
        ("YEAR", &[Any], 1, INT, body::year),
        ("MONTH", &[Any], 1, INT, body::month),
        ("DAY", &[Any], 1, INT, body::day),
        ("EOMONTH", &[Any], 1, SqlType::Date, body::eomonth),
        ("DATEFROMPARTS", &[Int, Int, Int], 3, SqlType::Date, body::datefromparts),
        ("TODATETIMEOFFSET", &[Any, Any], 2, DateTimeOffset(7), body::todatetimeoffset),
        ("SWITCHOFFSET", &[Any, Any], 2, DateTimeOffset(7), body::switchoffset),
        ("ISJSON", &[Text], 1, INT, body::isjson),
        ("JSON_VALUE", &[Text, Text], 2, N4000, body::json_value),
        ("QUOTENAME", &[Text, Text], 1, SqlType::NVarChar(Len::N(258)), body::quotename),
        ("PARSENAME", &[Text, Int], 2, SYSNAME, body::parsename),
        ("DB_ID", &[Name], 0, SqlType::SmallInt, body::db_id),
        ("DB_NAME", &[Int], 0, SYSNAME, body::db_name),
        ("SCHEMA_ID", &[Name], 0, INT, body::schema_id),
        ("SCHEMA_NAME", &[Int], 0, SYSNAME, body::schema_name),
        ("OBJECT_ID", &[Name, Name], 1, INT, body::object_id),
        ("OBJECT_NAME", &[Int, Int], 1, SYSNAME, body::object_name),
        ("OBJECT_SCHEMA_NAME", &[Int, Int], 1, SYSNAME, body::object_schema_name),
        ("OBJECT_DEFINITION", &[Int], 1, NMAX, body::object_definition),
        ("OBJECTPROPERTY", &[Int, Name], 2, INT, body::objectproperty),
        ("COL_LENGTH", &[Name, Name], 2, SqlType::SmallInt, body::col_length),
        ("COL_NAME", &[Int, Int], 2, SYSNAME, body::col_name),
        ("COLUMNPROPERTY", &[Int, Name, Name], 3, INT, body::columnproperty),
        ("INDEXPROPERTY", &[Int, Name, Name], 3, INT, body::indexproperty),
        ("TYPE_NAME", &[Int], 1, SYSNAME, body::type_name),
        ("TYPE_ID", &[Name], 1, INT, body::type_id),
        ("USER_ID", &[Name], 0, INT, body::user_id),
        ("DATABASE_PRINCIPAL_ID", &[Name], 0, INT, body::user_id),
        ("USER_NAME", &[Int], 0, SYSNAME, body::user_name),
        ("CURRENT_USER", &[], 0, SYSNAME, body::user_name),
        ("SESSION_USER", &[], 0, SYSNAME, body::user_name),
        ("USER", &[], 0, SYSNAME, body::user_name),
        ("SUSER_ID", &[Name], 0, INT, body::suser_id),
        ("SUSER_NAME", &[Int], 0, SYSNAME, body::suser_name),
        ("SUSER_SNAME", &[Any], 0, SYSNAME, body::suser_sname),
        ("SYSTEM_USER", &[], 0, SYSNAME, body::suser_sname),
        ("ORIGINAL_LOGIN", &[], 0, SYSNAME, body::suser_sname),
        ("SUSER_SID", &[Name], 0, SqlType::VarBinary(Len::N(85)), body::suser_sid),
        ("IS_MEMBER", &[Name], 1, INT, body::is_member),
        ("IS_ROLEMEMBER", &[Name, Name], 1, INT, body::is_rolemember),
        ("IS_SRVROLEMEMBER", &[Name, Name], 1, INT, body::is_srvrolemember),
        ("HAS_PERMS_BY_NAME", &[Name, Name, Name, Name, Name], 3, INT, body::has_perms_by_name),
        ("HAS_DBACCESS", &[Name], 1, INT, body::has_dbaccess),
        ("SERVERPROPERTY", &[Name], 1, Variant, body::serverproperty),
        ("DATABASEPROPERTYEX", &[Name, Name], 2, Variant, body::databasepropertyex),
        ("SESSIONPROPERTY", &[Name], 1, Variant, body::sessionproperty),
        ("COLLATIONPROPERTY", &[Name, Name], 2, Variant, body::collationproperty),
        ("APPLOCK_TEST", &[Name, Name, Name, Name], 4, SqlType::SmallInt, body::applock_test),
        ("APPLOCK_MODE", &[Name, Name, Name], 3, SqlType::NVarChar(Len::N(32)), body::applock_mode),
        ("MIN_ACTIVE_ROWVERSION", &[], 0, SqlType::Binary(8), body::min_active_rowversion),
        ("XACT_STATE", &[], 0, SqlType::SmallInt, body::xact_state),
        ("ERROR_NUMBER", &[], 0, INT, body::error_number),
        ("ERROR_SEVERITY", &[], 0, INT, body::error_severity),
        ("ERROR_STATE", &[], 0, INT, body::error_state),
        ("ERROR_LINE", &[], 0, INT, body::error_line),
        ("ERROR_MESSAGE", &[], 0, N4000, body::error_message),
        ("ERROR_PROCEDURE", &[], 0, SYSNAME, body::error_procedure),
        ("HOST_NAME", &[], 0, SYSNAME, body::host_name),
        ("PROGRAM_NAME", &[], 0, SYSNAME, body::program_name),
        ("APP_NAME", &[], 0, SYSNAME, body::program_name),
        ("SCOPE_IDENTITY", &[], 0, SqlType::Decimal(38, 0), body::scope_identity),
        ("IDENT_CURRENT", &[Name], 1, SqlType::Decimal(38, 0), body::ident_current),
        ("ROWCOUNT_BIG", &[], 0, BigInt, body::rowcount_big),
        ("SQRT", &[Any], 1, Float, body::sqrt),
        ("POWER", &[Any, Any], 2, Float, body::power),
        ("RAND", &[], 0, Float, body::rand),
        ("CONNECTIONPROPERTY", &[Name], 1, Variant, body::connectionproperty),
        ("STATS_DATE", &[Int, Int], 2, DateTime, body::null),
    ]
};

impl Binder<'_, '_> {
    #[allow(clippy::too_many_lines)]
    pub(super) fn function(
        &mut self,
        name: &str,
        args: &[Expr],
        distinct: bool,
        star: bool,
        over: Option<&Over>,
        within: &[OrderItem],
    ) -> Result<TExpr> {
        if let Some(e) = self.aggregate_or_window(name, args, distinct, star, over, within)? {
            return Ok(e);
        }
        if distinct || star || over.is_some() || !within.is_empty() {
            return Err(unsupported(format!("{name} with DISTINCT, *, OVER or WITHIN GROUP")));
        }
        if matches!(name, "DATEADD" | "DATEDIFF" | "DATEDIFF_BIG" | "DATEPART" | "DATENAME") {
            return self.date_function(name, args);
        }
        if let Some(row) = TABLE.iter().find(|r| r.0 == name) {
            return self.tabled(row, args);
        }
        match (name, args) {
            ("ISNULL", [a, b]) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                let ty = if a.ty == SqlType::Null { b.ty } else { a.ty };
                let label = if ty.is_text() { merge(a.label, b.label, "ISNULL")? } else { Label::None };
                let nullable = a.nullable && b.nullable;
                let kind = Kind::Coalesce(vec![assign_cast(a, ty)?, assign_cast(b, ty)?]);
                Ok(TExpr { ty, label, nullable, kind })
            }
            ("COALESCE", [_, _, ..]) => {
                let all = args.iter().map(|a| self.value(a)).collect::<Result<Vec<_>>>()?;
                let refs: Vec<&TExpr> = all.iter().collect();
                let (ty, label) = self.unify(&refs, "COALESCE")?;
                let nullable = all.iter().all(|e| e.nullable);
                let all = all.into_iter().map(|e| convert_to(e, ty)).collect();
                Ok(TExpr { ty, label, nullable, kind: Kind::Coalesce(all) })
            }
            ("NULLIF", [a, b]) => {
                let (x, y) = (self.value(a)?, self.value(b)?);
                let test = compare_values(BinOp::Eq, x.clone(), y)?;
                let (ty, label) = (x.ty, x.label);
                let null = TExpr::constant(Value::Null, ty);
                Ok(TExpr {
                    ty,
                    label,
                    nullable: true,
                    kind: Kind::Case { whens: vec![(test, null)], otherwise: Some(Box::new(x)) },
                })
            }
            ("IIF", [test, yes, no]) => {
                let e = Expr::Case {
                    operand: None,
                    whens: vec![(test.clone(), yes.clone())],
                    otherwise: Some(Box::new(no.clone())),
                };
                self.value(&e)
            }
            ("CHOOSE", [index, rest @ ..]) if !rest.is_empty() => {
                let whens = rest
                    .iter()
                    .enumerate()
                    .map(|(i, e)| (Expr::Number((i + 1).to_string()), e.clone()))
                    .collect();
                self.value(&Expr::Case { operand: Some(Box::new(index.clone())), whens, otherwise: None })
            }
            ("CONCAT", [_, _, ..]) => self.concat(args, body::concat),
            ("CONCAT_WS", [_, _, _, ..]) => self.concat(args, body::concat_ws),
            ("UPPER" | "LOWER" | "LTRIM" | "RTRIM" | "TRIM" | "REVERSE", [a]) => {
                let a = self.textual(a)?;
                let body: Body = match name {
                    "UPPER" => body::upper,
                    "LOWER" => body::lower,
                    "LTRIM" => body::ltrim,
                    "RTRIM" => body::rtrim,
                    "TRIM" => body::trim,
                    _ => body::reverse,
                };
                let ty = varying(a.ty);
                Ok(TExpr { ty, label: a.label, nullable: a.nullable, kind: Kind::Func { body, args: vec![a] } })
            }
            ("LEFT" | "RIGHT", [a, n]) => {
                let a = self.textual(a)?;
                let n = self.int(n)?;
                let body: Body = if name == "LEFT" { body::left } else { body::right };
                Ok(TExpr {
                    ty: varying(a.ty),
                    label: a.label,
                    nullable: true,
                    kind: Kind::Func { body, args: vec![a, n] },
                })
            }
            ("SUBSTRING", [a, from, n]) => {
                let raw = self.value(a)?;
                let a = if raw.ty.is_binary() { raw } else { self.textual(a)? };
                let (from, n) = (self.int(from)?, self.int(n)?);
                let ty = if a.ty.is_binary() { SqlType::VarBinary(a.ty.len().unwrap_or(Len::Max)) } else { varying(a.ty) };
                Ok(TExpr {
                    ty,
                    label: a.label,
                    nullable: true,
                    kind: Kind::Func { body: body::substring, args: vec![a, from, n] },
                })
            }
            ("REPLACE", [a, b, c]) => {
                let all = [self.textual(a)?, self.textual(b)?, self.textual(c)?];
                let wide = all.iter().any(|e| e.ty.is_wide());
                let max = all.iter().any(|e| e.ty.len() == Some(Len::Max));
                let ty = match (wide, max) {
                    (true, true) => NMAX,
                    (true, false) => N4000,
                    (false, true) => SqlType::VarChar(Len::Max),
                    (false, false) => SqlType::VarChar(Len::N(8000)),
                };
                let mut label = settle(all[0].label, all[1].label, "replace")?;
                label = settle(label, all[2].label, "replace")?;
                let body: Body = if label.coll().is_some_and(super::super::types::collation::Coll::is_case_sensitive) {
                    body::replace
                } else {
                    body::replace_ignoring_case
                };
                Ok(TExpr { ty, label, nullable: true, kind: Kind::Func { body, args: all.to_vec() } })
            }
            ("REPLICATE", [a, n]) => {
                let a = self.textual(a)?;
                let n = self.int(n)?;
                let ty = match (a.ty.is_wide(), a.ty.len()) {
                    (true, Some(Len::Max)) => NMAX,
                    (true, _) => N4000,
                    (false, Some(Len::Max)) => SqlType::VarChar(Len::Max),
                    (false, _) => SqlType::VarChar(Len::N(8000)),
                };
                Ok(TExpr {
                    ty,
                    label: a.label,
                    nullable: true,
                    kind: Kind::Func { body: body::replicate, args: vec![a, n] },
                })
            }
            ("SPACE", [n]) => {
                let n = self.int(n)?;
                let label = Label::Default(self.ctx.database_collation());
                Ok(TExpr {
                    ty: SqlType::VarChar(Len::N(8000)),
                    label,
                    nullable: true,
                    kind: Kind::Func { body: body::space, args: vec![n] },
                })
            }
            ("STUFF", [a, from, n, b]) => {
                let (a, b) = (self.textual(a)?, self.textual(b)?);
                let (from, n) = (self.int(from)?, self.int(n)?);
                let ty = if a.ty.is_wide() || b.ty.is_wide() { NMAX } else { SqlType::VarChar(Len::Max) };
                let label = settle(a.label, b.label, "stuff")?;
                Ok(TExpr {
                    ty,
                    label,
                    nullable: true,
                    kind: Kind::Func { body: body::stuff, args: vec![a, from, n, b] },
                })
            }
            ("CHARINDEX", [a, b]) | ("CHARINDEX", [a, b, _]) => {
                let (a, b) = (self.textual(a)?, self.textual(b)?);
                let label = settle(a.label, b.label, "charindex")?;
                let body: Body = if label.coll().is_some_and(super::super::types::collation::Coll::is_case_sensitive) {
                    body::charindex
                } else {
                    body::charindex_ignoring_case
                };
                let mut list = vec![a, b];
                if let Some(from) = args.get(2) {
                    list.push(self.int(from)?);
                }
                let kind = Kind::Func { body, args: list };
                Ok(TExpr { ty: SqlType::Int, label: Label::None, nullable: true, kind })
            }
            ("ABS" | "SIGN" | "CEILING" | "FLOOR" | "ROUND", [a, rest @ ..]) if rest.len() <= 2 => {
                let a = self.value(a)?;
                if !a.ty.is_numeric() && a.ty != SqlType::Null {
                    return Err(SqlError::new(
                        8116,
                        16,
                        format!("Argument data type {} is invalid for argument 1 of {} function.", a.ty.name(), name.to_lowercase()),
                    )
                    .reach(Reach::Batch));
                }
                let body: Body = match name {
                    "ABS" => body::abs,
                    "SIGN" => body::sign,
                    "CEILING" => body::ceiling,
                    "FLOOR" => body::floor,
                    _ => body::round,
                };
                let ty = match (name, a.ty) {
                    ("CEILING" | "FLOOR", SqlType::Decimal(p, _)) => SqlType::Decimal(p, 0),
                    (_, SqlType::TinyInt | SqlType::SmallInt) => SqlType::Int,
                    (_, SqlType::Bit | SqlType::Real) => SqlType::Float,
                    (_, ty) => ty,
                };
                let mut list = vec![convert_to(a.clone(), if matches!(a.ty, SqlType::Bit | SqlType::Real) { SqlType::Float } else { a.ty })];
                for r in rest {
                    list.push(self.int(r)?);
                }
                Ok(TExpr { ty, label: Label::None, nullable: true, kind: Kind::Func { body, args: list } })
            }
            _ if known_name(name) => Err(SqlError::new(
                174,
                15,
                format!("The {} function was called with {} argument(s).", name.to_lowercase(), args.len()),
            )
            .reach(Reach::Batch)),
            _ => Err(SqlError::new(195, 15, format!("'{name}' is not a recognized built-in function name (or the double does not support it)."))
                .state(10)
                .reach(Reach::Batch)),
        }
    }

    pub(crate) fn int(&mut self, e: &Expr) -> Result<TExpr> {
        let e = self.value(e)?;
        assign_cast(e, SqlType::BigInt)
    }

    fn tabled(&mut self, row: &Row, args: &[Expr]) -> Result<TExpr> {
        let (name, kinds, required, ty, body) = *row;
        if args.len() < required || args.len() > kinds.len() {
            return Err(SqlError::new(
                174,
                15,
                format!("The {} function requires {required} argument(s).", name.to_lowercase()),
            )
            .reach(Reach::Batch));
        }
        let mut list = Vec::new();
        for (arg, kind) in args.iter().zip(kinds) {
            list.push(match kind {
                Arg::Any => self.value(arg)?,
                Arg::Text => {
                    let e = self.value(arg)?;
                    if e.ty.is_binary() && name == "LEN" { e } else { self.textual(arg)? }
                }
                Arg::Int => self.int(arg)?,
                Arg::Name => {
                    let e = self.value(arg)?;
                    let label = Label::Default(self.ctx.database_collation());
                    TExpr { label, ..assign_cast(e, N4000)? }
                }
            });
        }
        let first = list.first().map(|e| e.ty);
        let ty = match (name, first) {
            ("DATALENGTH" | "LEN", Some(t)) if t.len() == Some(Len::Max) => SqlType::BigInt,
            ("SWITCHOFFSET" | "TODATETIMEOFFSET", Some(t)) if t.is_temporal() => {
                SqlType::DateTimeOffset(t.time_scale())
            }
            _ => ty,
        };
        let label =
            if ty.is_text() { Label::Default(self.ctx.database_collation()) } else { Label::None };
        let never_null = matches!(
            name,
            "SYSUTCDATETIME"
                | "NEWID"
                | "GETDATE"
                | "GETUTCDATE"
                | "SYSDATETIME"
                | "SYSDATETIMEOFFSET"
        );
        Ok(TExpr { ty, label, nullable: !never_null, kind: Kind::Func { body, args: list } })
    }

    fn concat(&mut self, args: &[Expr], body: Body) -> Result<TExpr> {
        let mut list = Vec::new();
        let mut label = Label::None;
        let (mut wide, mut max) = (false, false);
        for a in args {
            let e = self.value(a)?;
            let ty = if e.ty.is_text() { e.ty } else { SqlType::VarChar(Len::N(8000)) };
            wide |= ty.is_wide();
            max |= ty.len() == Some(Len::Max);
            label = settle(label, e.label, "concat")?;
            list.push(assign_cast(e, ty)?);
        }
        if label == Label::None {
            label = Label::Default(self.ctx.database_collation());
        }
        let ty = match (wide, max) {
            (true, true) => NMAX,
            (true, false) => N4000,
            (false, true) => SqlType::VarChar(Len::Max),
            (false, false) => SqlType::VarChar(Len::N(8000)),
        };
        Ok(TExpr { ty, label, nullable: false, kind: Kind::Func { body, args: list } })
    }

    fn date_function(&mut self, name: &str, args: &[Expr]) -> Result<TExpr> {
        let expected = if matches!(name, "DATEPART" | "DATENAME") { 2 } else { 3 };
        if args.len() != expected {
            return Err(SqlError::new(
                174,
                15,
                format!("The {} function requires {expected} argument(s).", name.to_lowercase()),
            )
            .reach(Reach::Batch));
        }
        let part = match &args[0] {
            Expr::Column(parts) if parts.len() == 1 => {
                Part::parse(&parts[0]).map(|p| (p, parts[0].clone()))
            }
            _ => None,
        };
        let Some((_, word)) = part else {
            return Err(SqlError::new(
                155,
                15,
                format!("The argument is not a recognized {} option.", name.to_lowercase()),
            )
            .reach(Reach::Batch));
        };
        let part = TExpr::constant(Value::str(word), SqlType::VarChar(Len::N(20)));
        let moment = |e: TExpr| -> Result<TExpr> {
            if e.ty.is_temporal() {
                Ok(e)
            } else if e.ty.is_text() {
                assign_cast(e, SqlType::DateTimeOffset(7))
            } else {
                assign_cast(e, SqlType::DateTime)
            }
        };
        let (ty, body, list): (SqlType, Body, Vec<TExpr>) = match name {
            "DATEADD" => {
                let n = self.value(&args[1])?;
                // DATEADD takes an int; a bigint beyond it overflows.
                let n = if n.ty == SqlType::BigInt {
                    convert_to(n, SqlType::Int)
                } else {
                    assign_cast(n, SqlType::Int)?
                };
                let raw = self.value(&args[2])?;
                let m = if raw.ty.is_text() {
                    assign_cast(raw, SqlType::DateTime)?
                } else {
                    moment(raw)?
                };
                (m.ty, body::dateadd, vec![part, n, m])
            }
            "DATEDIFF" | "DATEDIFF_BIG" => {
                let a = moment(self.value(&args[1])?)?;
                let b = moment(self.value(&args[2])?)?;
                let ty = if name == "DATEDIFF" { SqlType::Int } else { SqlType::BigInt };
                let body: Body =
                    if name == "DATEDIFF" { body::datediff } else { body::datediff_big };
                (ty, body, vec![part, a, b])
            }
            "DATENAME" => return Err(unsupported("DATENAME")),
            _ => (SqlType::Int, body::datepart, vec![part, moment(self.value(&args[1])?)?]),
        };
        let kind = Kind::Func { body, args: list };
        Ok(TExpr { ty, label: Label::None, nullable: true, kind })
    }

    pub(super) fn system_variable(&mut self, name: &str) -> Result<TExpr> {
        let (ty, body): (SqlType, Body) = match name {
            "@@rowcount" => (SqlType::Int, body::var_rowcount),
            "@@error" => (SqlType::Int, body::var_error),
            "@@dbts" => (SqlType::VarBinary(Len::N(8)), body::var_dbts),
            "@@trancount" => (SqlType::Int, body::var_trancount),
            "@@spid" => (SqlType::SmallInt, body::var_spid),
            "@@version" => (SqlType::NVarChar(Len::N(300)), body::var_version),
            "@@servername" => (SYSNAME, body::var_servername),
            "@@lock_timeout" => (SqlType::Int, body::var_lock_timeout),
            "@@identity" => (SqlType::Decimal(38, 0), body::scope_identity),
            "@@nestlevel" => (SqlType::Int, body::var_nestlevel),
            "@@options" => (SqlType::Int, body::var_options),
            "@@max_precision" => (SqlType::TinyInt, body::var_max_precision),
            "@@datefirst" => (SqlType::TinyInt, body::var_datefirst),
            "@@language" => (SYSNAME, body::var_language),
            "@@microsoftversion" => (SqlType::Int, body::var_microsoftversion),
            _ => {
                return Err(SqlError::new(
                    137,
                    15,
                    format!("Must declare the scalar variable \"{name}\"."),
                )
                .state(2)
                .reach(Reach::Batch));
            }
        };
        let label =
            if ty.is_text() { Label::Default(self.ctx.database_collation()) } else { Label::None };
        Ok(TExpr { ty, label, nullable: false, kind: Kind::Func { body, args: Vec::new() } })
    }
}

fn varying(ty: SqlType) -> SqlType {
    match ty {
        SqlType::Char(n) => SqlType::VarChar(Len::N(n)),
        SqlType::NChar(n) => SqlType::NVarChar(Len::N(n)),
        other => other,
    }
}

fn known_name(name: &str) -> bool {
    const NAMES: [&str; 26] = [
        "ISNULL",
        "COALESCE",
        "NULLIF",
        "IIF",
        "CHOOSE",
        "CONCAT",
        "CONCAT_WS",
        "UPPER",
        "LOWER",
        "LTRIM",
        "RTRIM",
        "TRIM",
        "REVERSE",
        "LEFT",
        "RIGHT",
        "SUBSTRING",
        "REPLACE",
        "REPLICATE",
        "SPACE",
        "STUFF",
        "CHARINDEX",
        "ABS",
        "SIGN",
        "CEILING",
        "FLOOR",
        "ROUND",
    ];
    NAMES.contains(&name)
}

/// The label of arguments that are compared with each other: a conflict is an error at once.
fn settle(a: Label, b: Label, operation: &str) -> Result<Label> {
    compare_collation(a, b, operation)?;
    merge(a, b, operation)
}
