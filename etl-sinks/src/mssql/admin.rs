//! The operator's side: plan, prepare, check, state.

use std::sync::Arc;

use async_trait::async_trait;
use etl_core::connector::Finding;
use etl_core::ledger::Ledger;
use etl_core::schema::StreamSchema;
use etl_core::sink::{Checkpoint, Prepared, SinkAdmin, StateChange, Statement, siblings};
use etl_core::{Entry, Error, Result};
use etl_sql::mssql::connect::{Connection, required, value};
use etl_sql::mssql::error::Phase;
use etl_sql::mssql::plan;
use etl_sql::mssql::target::Target;

use super::ledger;
use super::sink::{MssqlSink, checkpoint};
use super::statements;
use crate::trial::trial_row;

/// Whether we may do `@P2` with the object `@P1`; NULL if it is not there.
const MAY: &str = "SELECT HAS_PERMS_BY_NAME(@P1, N'OBJECT', @P2) AS [may];";

#[async_trait]
impl SinkAdmin for MssqlSink {
    fn plan(&self, schema: &StreamSchema) -> Result<Vec<Statement>> {
        let target = self.link.planned(schema)?;
        plan::statements(&self.link.config.state_schema, &target)
    }

    async fn prepare(&mut self, schema: &StreamSchema) -> Result<()> {
        let statements = self.plan(schema)?;
        let mut connection = self.link.take().await?;
        for statement in statements {
            let doing = format!("{}: {}", self.link.name, statement.name);
            connection.batch(&statement.text, &doing).await?;
        }
        // A table that was there before must fit as well.
        for target in self.link.targets(schema)? {
            target.found(&mut connection).await?;
        }
        // The connection is dropped, and with it the lock.
        Ok(())
    }

    async fn check(&mut self, schema: &StreamSchema) -> Result<Vec<Finding>> {
        let target = self.link.planned(schema)?;
        let mut connection = match self.link.take().await {
            Ok(connection) => connection,
            Err(error) => return Ok(vec![Finding::from_error("target: connection", &error)]),
        };
        let database = &self.link.config.database;
        let mut findings =
            vec![Finding::good("target: connection", format!("logged in to {database}"))];
        for (object, right) in plan::rights(&self.link.config.state_schema, &target)? {
            findings.push(self.check_right(&mut connection, &object, right).await?);
        }
        let what = ["target: table", "target: stage"];
        for (what, target) in what.into_iter().zip(self.link.targets(schema)?) {
            findings.push(match target.found(&mut connection).await {
                Ok(_) => Finding::good(what, "columns, types and key fit"),
                Err(error) => Finding::from_error(what, &error),
            });
        }
        drop(connection);
        let what = "target: checkpoint";
        findings.push(match self.checkpoint().await {
            Ok(Some(_)) => Finding::good(what, "the pipeline's row is there"),
            Ok(None) => Finding::from_error(what, &self.link.unprepared(what)),
            Err(error) => Finding::from_error(what, &error),
        });
        if findings.iter().all(|finding| finding.ok) {
            findings.push(self.check_write(schema).await);
        }
        Ok(findings)
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>> {
        let mut connection = self.link.take().await?;
        let doing = format!("{}: reading the checkpoint", self.link.name);
        if !self.link.has_state(&mut connection, &doing).await? {
            return Ok(None);
        }
        let sql = statements::look(&self.link.config.state_schema)?;
        let row = connection
            .query_row(&sql, &[&self.link.name.as_str()], Phase::Repeatable, &doing)
            .await?;
        self.link.keep(connection);
        row.as_ref().map(checkpoint).transpose()
    }

    async fn ledger(&mut self) -> Result<Option<Ledger>> {
        let mut connection = self.link.take().await?;
        let doing = format!("{}: reading the ledger", self.link.name);
        let sql = statements::ledger(&self.link.config.state_schema)?;
        let row = connection
            .query_row(&sql, &[&self.link.name.as_str()], Phase::Repeatable, &doing)
            .await?;
        self.link.keep(connection);
        row.as_ref().map(ledger::figures).transpose()
    }

    async fn streams(&mut self) -> Result<Vec<Prepared>> {
        let mut connection = self.link.take().await?;
        let doing = format!("{}: listing the pipeline's streams", self.link.name);
        let sql = statements::streams(&self.link.config.state_schema)?;
        let prefix = siblings(&self.link.name);
        let rows = connection.query(&sql, &[&prefix.as_str()], Phase::Repeatable, &doing).await?;
        self.link.keep(connection);
        let stream = |row: &tiberius::Row| {
            Ok(Prepared {
                name: required::<&str>(row, "pipeline")?.to_owned(),
                last_run_micros: value(row, "started")?,
            })
        };
        rows.iter().map(stream).collect()
    }

    async fn quarantined(&mut self) -> Result<Vec<Entry>> {
        self.entries().await
    }

    async fn change(&mut self, change: StateChange) -> Result<Checkpoint> {
        let mut connection = self.link.take().await?;
        let doing = format!("{}: changing the checkpoint", self.link.name);
        let (what, text) = match change {
            StateChange::Position(position) => {
                ("position", position.map(|position| position.to_string()).unwrap_or_default())
            }
            StateChange::Definition(definition) => ("definition", definition.to_text()?),
        };
        if !self.link.has_state(&mut connection, &doing).await? {
            return Err(self.link.unprepared(&doing));
        }
        let sql = statements::change(&self.link.config.state_schema)?;
        let row = connection
            .query_row(
                &sql,
                &[&self.link.name.as_str(), &what, &text.as_str()],
                Phase::Repeatable,
                &doing,
            )
            .await?;
        self.link.keep(connection);
        row.as_ref().map(checkpoint).transpose()?.ok_or_else(|| {
            Error::config(format!("{doing}: it was never prepared; run mssql-init first"))
        })
    }
}

impl MssqlSink {
    async fn check_right(
        &self,
        connection: &mut Connection,
        object: &str,
        right: &str,
    ) -> Result<Finding> {
        let what = format!("target: {right} on {object}");
        let row = connection
            .query_row(MAY, &[&object, &right], Phase::Repeatable, &what)
            .await?
            .ok_or_else(|| Error::internal(format!("{what}: no answer")))?;
        Ok(match value::<i32>(&row, "may")? {
            Some(1) => Finding::good(what, "granted"),
            Some(_) => Finding::denied(what, "not granted; run mssql-init, or grant it"),
            None => Finding::bad(what, "the object does not exist or is hidden; run mssql-init"),
        })
    }

    /// Stages a row by bulk load and applies it in a transaction that is rolled back.
    async fn check_write(&mut self, schema: &StreamSchema) -> Finding {
        let what = "target: bulk load and write, rolled back";
        match self.rolled_back_write(schema).await {
            Ok(()) => Finding::good(what, "works"),
            Err(error) => Finding::from_error(what, &error),
        }
    }

    async fn rolled_back_write(&mut self, schema: &StreamSchema) -> Result<()> {
        for target in self.link.targets(schema)? {
            self.try_write(schema, &target).await?;
        }
        Ok(())
    }

    async fn try_write(&mut self, schema: &StreamSchema, planned: &Arc<Target>) -> Result<()> {
        let mut connection = self.link.take().await?;
        let target = planned.found(&mut connection).await?;
        let trial = statements::Statements::new(&self.link.config.state_schema, &target)?;
        let doing = format!("{}: trying a write", self.link.name);
        connection.batch(&trial.create_stage, &doing).await?;
        let changes = trial_row(schema)?;
        let mut connection =
            etl_sql::mssql::bulk::load(connection, statements::STAGE, &target, &changes).await?;
        let sql = statements::trial(&target)?;
        let row = connection
            .query_row(&sql, &[], Phase::Repeatable, &doing)
            .await?
            .ok_or_else(|| Error::internal(format!("{doing}: no answer")))?;
        required::<i64>(&row, "inserted").map(drop)
    }
}
