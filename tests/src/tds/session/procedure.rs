//! EXEC of system procedures, and sp_executesql by RPC.

use std::time::Duration;

use super::control::Runner;
use super::driver::{self, Patience};
use super::{CANCELLED, Var};
use crate::tds::engine::locks::{AppMode, AppOwner};
use crate::tds::error::{Reach, Result, SqlError, unsupported};
use crate::tds::exec::functions::{app_owner, app_resource};
use crate::tds::net::request::Param;
use crate::tds::parse::ast::{ExecArg, Expr, ObjName};
use crate::tds::types::{Len, SqlType, Value, convert};

const TEXT: SqlType = SqlType::NVarChar(Len::N(4000));

fn no_procedure(name: &str) -> SqlError {
    SqlError::new(2812, 16, format!("Could not find stored procedure '{name}'.")).state(62)
}

impl Runner {
    pub(super) fn exec_proc(
        &mut self,
        result: Option<&str>,
        name: &ObjName,
        args: &[ExecArg],
    ) -> Result<super::control::Flow> {
        let schema = name.schema.as_deref().unwrap_or("sys").to_ascii_lowercase();
        let proc = name.name.to_ascii_lowercase();
        if schema == "double" && proc == "fault" {
            self.admin_fault(args)?;
            return Ok(super::control::Flow::Next);
        }
        if !matches!(schema.as_str(), "sys" | "dbo") {
            return Err(no_procedure(&name.display()));
        }
        let (flow, code) = match proc.as_str() {
            "sp_getapplock" => (super::control::Flow::Next, self.get_app_lock(args)?),
            "sp_releaseapplock" => (super::control::Flow::Next, self.release_app_lock(args)?),
            "sp_executesql" => self.execute_sql(args)?,
            "sp_set_session_context"
            | "sp_rename"
            | "sp_addrolemember"
            | "sp_prepare"
            | "sp_help" => {
                return Err(unsupported(format!("procedure {proc}")));
            }
            _ => return Err(no_procedure(&name.display())),
        };
        if let Some(var) = result {
            let (i, ty) = self.run(|ctx| ctx.variable(var))?;
            self.sess.vars[i].value =
                convert::cast(&Value::Int(i64::from(code)), SqlType::Int, ty, None)?;
        }
        Ok(flow)
    }

    /// The value of a named or positional argument.
    fn arg(
        &mut self,
        args: &[ExecArg],
        names: &[&str],
        name: &str,
        ty: SqlType,
    ) -> Result<Option<Value>> {
        for a in args.iter().filter_map(|a| a.name.as_deref()) {
            if !names.contains(&a) {
                return Err(SqlError::new(
                    8145,
                    16,
                    format!("{a} is not a parameter for this procedure."),
                ));
            }
        }
        let at = names.iter().position(|n| *n == name).unwrap_or(usize::MAX);
        let hit = args
            .iter()
            .find(|a| a.name.as_deref() == Some(name))
            .or_else(|| args.get(at).filter(|a| a.name.is_none()));
        match hit {
            Some(a) if !matches!(a.value, Expr::Default) => Ok(Some(self.value_as(&a.value, ty)?)),
            _ => Ok(None),
        }
    }

    fn text_arg(
        &mut self,
        args: &[ExecArg],
        names: &[&str],
        name: &str,
        default: Option<&str>,
    ) -> Result<String> {
        match self.arg(args, names, name, TEXT)? {
            Some(Value::Str(s)) => Ok(s.to_string()),
            Some(_) => {
                Err(SqlError::new(8162, 16, format!("The parameter '{name}' may not be NULL.")))
            }
            None => default.map(ToOwned::to_owned).ok_or_else(|| {
                SqlError::new(
                    201,
                    16,
                    format!(
                        "Procedure or function expects parameter '{name}', which was not supplied."
                    ),
                )
                .state(4)
            }),
        }
    }

    fn get_app_lock(&mut self, args: &[ExecArg]) -> Result<i32> {
        const NAMES: [&str; 5] =
            ["@resource", "@lockmode", "@lockowner", "@locktimeout", "@dbprincipal"];
        let resource = self.text_arg(args, &NAMES, "@resource", None)?;
        let mode = self.text_arg(args, &NAMES, "@lockmode", None)?;
        let owner = self.text_arg(args, &NAMES, "@lockowner", Some("Transaction"))?;
        let principal = self.text_arg(args, &NAMES, "@dbprincipal", Some("public"))?;
        let timeout = match self.arg(args, &NAMES, "@locktimeout", SqlType::Int)? {
            Some(v) => v.as_i64().unwrap_or(-1),
            None => self.sess.options.lock_timeout,
        };
        let (Some(mode), Some(owner)) = (AppMode::parse(&mode), app_owner(&owner)) else {
            self.report(&SqlError::new(
                15_625,
                16,
                "Option not recognized for a parameter of sp_getapplock.",
            ));
            return Ok(-999);
        };
        if owner == AppOwner::Transaction && self.sess.trancount == 0 {
            return Err(SqlError::new(
                3918,
                16,
                "The statement or function must be executed in the context of a user transaction.",
            ));
        }
        let patience = match u64::try_from(timeout) {
            Ok(ms) => Patience::For(Duration::from_millis(ms)),
            Err(_) => Patience::Endless,
        };
        let granted = driver::run(&self.engine, &mut self.sess, patience, |ctx| {
            let r = app_resource(ctx, &principal, &resource)?;
            match ctx.state.locks.app_lock(&r, ctx.sess.id, owner, mode) {
                Ok(()) => Ok(()),
                Err(holder) => Err(ctx.state.wait_for(holder)),
            }
        });
        match granted {
            Ok(ran) => Ok(i32::from(ran.waited)),
            Err(e) => match e.number {
                1222 => Ok(-1),
                CANCELLED => Ok(-2),
                1205 => Ok(-3),
                _ => {
                    self.report(&e);
                    Ok(-999)
                }
            },
        }
    }

    fn release_app_lock(&mut self, args: &[ExecArg]) -> Result<i32> {
        const NAMES: [&str; 3] = ["@resource", "@lockowner", "@dbprincipal"];
        let resource = self.text_arg(args, &NAMES, "@resource", None)?;
        let owner = self.text_arg(args, &NAMES, "@lockowner", Some("Transaction"))?;
        let principal = self.text_arg(args, &NAMES, "@dbprincipal", Some("public"))?;
        let Some(owner) = app_owner(&owner) else { return Ok(-999) };
        let released = self.run(|ctx| {
            let r = app_resource(ctx, &principal, &resource)?;
            Ok(ctx.state.locks.app_release(&r, ctx.sess.id, owner))
        })?;
        self.engine.changed.notify_all();
        if released {
            return Ok(0);
        }
        self.report(&SqlError::new(
            1223,
            16,
            format!("Cannot release the application lock (Database Principal: '{principal}', Resource: '{resource}') because it is not currently held."),
        ));
        Ok(-999)
    }

    /// `EXEC sp_executesql @text, @declarations, values...` inside a batch.
    fn execute_sql(&mut self, args: &[ExecArg]) -> Result<(super::control::Flow, i32)> {
        let max = SqlType::NVarChar(Len::Max);
        let positional = |i: usize, names: [&str; 2]| {
            args.get(i).filter(|a| a.name.as_deref().is_none_or(|n| names.contains(&n)))
        };
        let Some(first) = positional(0, ["@stmt", "@statement"]) else {
            return Err(SqlError::new(201, 16, "Procedure or function 'sp_executesql' expects parameter '@statement', which was not supplied.").state(4));
        };
        let text = self.value_as(&first.value, max)?;
        let text = text.as_str().unwrap_or_default().to_owned();
        let declared = match positional(1, ["@params", "@parameters"]) {
            Some(a) => {
                let v = self.value_as(&a.value, max)?;
                crate::tds::parse::parameters(v.as_str().unwrap_or_default())?
            }
            None => Vec::new(),
        };
        let mut vars = Vec::new();
        let mut outputs = Vec::new();
        for (i, (name, ty, output)) in declared.iter().enumerate() {
            let arg = args
                .iter()
                .skip(2)
                .find(|a| a.name.as_deref() == Some(name))
                .or_else(|| args.get(i + 2).filter(|a| a.name.is_none()));
            let Some(arg) = arg else {
                return Err(missing_parameter(&text, name));
            };
            if arg.output {
                if let (true, Expr::Var(v)) = (*output, &arg.value) {
                    outputs.push((name.clone(), v.clone()));
                } else {
                    return Err(SqlError::new(
                        8162,
                        16,
                        format!(
                            "The formal parameter \"{name}\" was not declared as an OUTPUT parameter, but the actual parameter passed in requested output."
                        ),
                    ));
                }
            }
            let value = self.value_as(&arg.value, *ty)?;
            vars.push(Var { name: name.clone(), ty: *ty, value });
        }
        let (flow, inner) = self.nested(&text, vars)?;
        for (from, to) in outputs {
            if let Some(v) = inner.iter().find(|v| v.name == from) {
                let (i, ty) = self.run(|ctx| ctx.variable(&to))?;
                self.sess.vars[i].value = convert::cast(&v.value, v.ty, ty, None)?;
            }
        }
        Ok((flow.0, flow.1))
    }

    /// A procedure call from the client.
    pub(crate) fn call(&mut self, name: &str, params: Vec<Param>) {
        self.bulk = None;
        self.tokens.in_procedure = true;
        self.start();
        let status = if name.eq_ignore_ascii_case("sp_executesql") {
            match self.executesql_by_rpc(params) {
                Ok(n) => n,
                Err(e) => {
                    self.report(&e);
                    e.number.max(1)
                }
            }
        } else {
            self.faults.log(name);
            self.report(&unsupported(format!("remote procedure call of {name}")));
            1
        };
        self.sess.nest = 0;
        self.end_of_batch();
        self.tokens.finish_call(status);
        self.tokens.in_procedure = false;
    }

    fn executesql_by_rpc(&mut self, params: Vec<Param>) -> Result<i32> {
        let mut params = params.into_iter();
        let Some(Value::Str(text)) = params.next().map(|p| p.value) else {
            return Err(SqlError::new(
                214,
                16,
                "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'.",
            )
            .state(2));
        };
        self.faults.log(&text);
        let declared = match params.next().map(|p| p.value) {
            Some(Value::Str(s)) => crate::tds::parse::parameters(&s)?,
            _ => Vec::new(),
        };
        let given: Vec<Param> = params.collect();
        if given.iter().any(|p| p.output) {
            return Err(unsupported("OUTPUT parameters by remote procedure call"));
        }
        if given.len() > declared.len() {
            return Err(SqlError::new(
                8144,
                16,
                "Procedure or function has too many arguments specified.",
            )
            .state(2));
        }
        let mut vars = Vec::new();
        for (i, (name, ty, _)) in declared.iter().enumerate() {
            let p = given
                .iter()
                .find(|p| p.name.eq_ignore_ascii_case(name))
                .or_else(|| given.get(i).filter(|p| p.name.is_empty()));
            let Some(p) = p else { return Err(missing_parameter(&text, name)) };
            let value = convert::cast(&p.value, p.ty, *ty, None)?;
            vars.push(Var { name: name.clone(), ty: *ty, value });
        }
        // The call is one level deep: its temporary tables end with it.
        let (flow, _) = self.nested(&text, vars)?;
        Ok(flow.1)
    }

    /// `EXEC double.fault '...json...'`: sets a fault; 'clear' removes all.
    fn admin_fault(&mut self, args: &[ExecArg]) -> Result<()> {
        if !self.is_sysadmin() {
            return Err(no_procedure("double.fault"));
        }
        let text = self.text_arg(args, &["@fault"], "@fault", None)?;
        if text.eq_ignore_ascii_case("clear") {
            self.faults.clear();
            return Ok(());
        }
        if let Some(name) = text.strip_prefix("release ") {
            self.faults.release(name);
            return Ok(());
        }
        let fault = serde_json::from_str(&text).map_err(|e| {
            SqlError::new(50_002, 16, format!("double: this is not a fault: {e}"))
                .reach(Reach::Batch)
        })?;
        self.faults.set(fault);
        Ok(())
    }
}

fn missing_parameter(text: &str, name: &str) -> SqlError {
    let head: String = text.chars().take(60).collect();
    SqlError::new(
        8178,
        16,
        format!(
            "The parameterized query '{head}' expects the parameter '{name}', which was not supplied."
        ),
    )
}
