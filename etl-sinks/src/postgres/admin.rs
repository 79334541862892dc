//! The operator's side: plan, prepare, check, state, ledger.

use async_trait::async_trait;
use etl_core::batch::Progress;
use etl_core::connector::Finding;
use etl_core::ledger::Ledger;
use etl_core::schema::StreamSchema;
use etl_core::sink::{Checkpoint, Phase, Prepared, SinkAdmin, StateChange, Statement, siblings};
use etl_core::{Batch, Changes, Entry, Error, Position, Result};
use etl_sql::postgres::session::{Session, value};
use etl_sql::postgres::target::Target;
use etl_sql::postgres::{bulk, plan};
use sqlx::AssertSqlSafe;

use super::apply::Statements;
use super::sink::{PostgresSink, apply, stage};
use super::state::{self, checkpoint, figures, look};
use super::statements;
use crate::trial::trial_row;

/// Whether we may do `$3` with the table `$2` in the schema `$1`; no row if it is not there.
const MAY: &str = "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, $3) \
     AS may FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2";

/// Whether we may have staging tables, and whether this server takes writes.
const SERVER: &str = "SELECT has_database_privilege(current_database(), 'TEMPORARY') AS temporary, \
     pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only";

#[async_trait]
impl SinkAdmin for PostgresSink {
    fn plan(&self, schema: &StreamSchema) -> Result<Vec<Statement>> {
        let target = self.link.planned(schema)?;
        plan::statements(&self.link.state_schema, &target, self.link.grant_to.as_deref())
    }

    async fn prepare(&mut self, schema: &StreamSchema) -> Result<()> {
        let statements = self.plan(schema)?;
        let mut session = self.link.take().await?;
        for statement in statements {
            let doing = self.link.doing(&statement.name);
            session.run(&statement.text, &doing).await?;
        }
        // A table that was there before must fit as well.
        for target in self.link.targets(schema)? {
            target.found(&mut session).await?;
        }
        Ok(())
    }

    async fn check(&mut self, schema: &StreamSchema) -> Result<Vec<Finding>> {
        let target = self.link.planned(schema)?;
        let mut session = match self.link.take().await {
            Ok(session) => session,
            Err(error) => return Ok(vec![Finding::from_error("target: connection", &error)]),
        };
        let place = self.link.connect.place().to_owned();
        let mut findings =
            vec![Finding::good("target: connection", format!("logged in to {place}"))];
        findings.extend(self.check_rights(&mut session, &target).await?);
        for (what, target) in
            ["target: table", "target: stage"].iter().zip(self.link.targets(schema)?)
        {
            findings.push(match target.found(&mut session).await {
                Ok(_) => Finding::good(*what, "columns, types and key fit"),
                Err(error) => Finding::from_error(*what, &error),
            });
        }
        let what = "target: checkpoint";
        match self.checkpoint().await {
            Ok(Some(_)) => findings.push(Finding::good(what, "the pipeline's row is there")),
            Ok(None) => findings.push(Finding::from_error(what, &self.link.unprepared(what))),
            Err(error) => findings.push(Finding::from_error(what, &error)),
        }
        if findings.iter().all(|finding| finding.ok) {
            let what = "target: COPY and write, rolled back";
            findings.push(match self.rolled_back_write(schema).await {
                Ok(()) => Finding::good(what, "works"),
                Err(error) => Finding::from_error(what, &error),
            });
        }
        Ok(findings)
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>> {
        let doing = self.link.doing("reading the checkpoint");
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        if !state::are_there(&mut session, &self.link, &doing).await? {
            return Ok(None);
        }
        let Some(row) = look(&mut session, &self.link, &doing).await? else { return Ok(None) };
        session.commit(&doing).await?;
        self.link.keep(session);
        checkpoint(&row).map(Some)
    }

    async fn ledger(&mut self) -> Result<Option<Ledger>> {
        let doing = self.link.doing("reading the ledger");
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        let sql = state::ledger_statement(&self.link.state_schema)?;
        let query = sqlx::query(AssertSqlSafe(sql)).bind(&self.link.name);
        let row = state::missing(session.row(query, &doing).await)?;
        let Some(row) = row else { return Ok(None) };
        session.commit(&doing).await?;
        self.link.keep(session);
        figures(&row).map(Some)
    }

    async fn streams(&mut self) -> Result<Vec<Prepared>> {
        let doing = self.link.doing("listing the pipeline's streams");
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        let sql = state::streams_statement(&self.link.state_schema)?;
        let query = sqlx::query(AssertSqlSafe(sql)).bind(siblings(&self.link.name));
        let rows = match session.rows(query, &doing).await {
            Err(error) if state::is_missing(&error) => return Ok(Vec::new()),
            rows => rows?,
        };
        session.commit(&doing).await?;
        self.link.keep(session);
        rows.iter().map(state::prepared).collect()
    }

    async fn quarantined(&mut self) -> Result<Vec<Entry>> {
        self.entries().await
    }

    async fn change(&mut self, change: StateChange) -> Result<Checkpoint> {
        let doing = self.link.doing("changing the checkpoint");
        let schema = &self.link.state_schema;
        let (look, sql) = (statements::look_and_lock(schema)?, statements::change(schema)?);
        let mut session = self.link.take().await?;
        session.begin(&doing).await?;
        if !state::are_there(&mut session, &self.link, &doing).await? {
            return Err(self.link.unprepared(&doing));
        }
        let look = sqlx::query(AssertSqlSafe(look)).bind(&self.link.name);
        let row = state::missing(session.row(look, &doing).await)?;
        let before = checkpoint(&row.ok_or_else(|| self.link.unprepared(&doing))?)?;
        let (position, definition, phase) = match change {
            // Whoever starts anew has no definition to keep to.
            StateChange::Position(None) => (None, None, Phase::Idle),
            StateChange::Position(position) => (position, before.definition.clone(), Phase::Idle),
            StateChange::Definition(definition) => {
                (before.position.clone(), Some(definition), before.phase)
            }
        };
        let change = sqlx::query(AssertSqlSafe(sql))
            .bind(&self.link.name)
            .bind(position.as_ref().map(Position::as_str))
            .bind(definition.map(|definition| definition.to_text()).transpose()?)
            .bind(phase.as_str());
        session.execute(change, &doing).await?;
        session.commit(&doing).await?;
        self.link.keep(session);
        Ok(before)
    }
}

impl PostgresSink {
    async fn check_rights(&self, session: &mut Session, target: &Target) -> Result<Vec<Finding>> {
        let doing = self.link.doing("looking at rights");
        session.begin(&doing).await?;
        let row = session.row(sqlx::query(SERVER), &doing).await?;
        let row = row.ok_or_else(|| Error::internal(format!("{doing}: no answer")))?;
        let mut findings = vec![takes_writes(value(&row, "standby")?, value(&row, "read_only")?)];
        let what = "target: TEMPORARY on the database";
        findings.push(if value(&row, "temporary")? {
            Finding::good(what, "granted")
        } else {
            Finding::denied(what, "not granted: rows are staged in a temporary table; grant it")
        });
        for (table, rights) in plan::tables(&self.link.state_schema, target)? {
            for right in rights {
                let what = format!("target: {right} on {table}");
                let query = sqlx::query(MAY).bind(&table.schema).bind(&table.table).bind(*right);
                let row = session.row(query, &doing).await?;
                findings.push(match row.map(|row| value(&row, "may")).transpose()? {
                    Some(true) => Finding::good(what, "granted"),
                    Some(false) => Finding::denied(
                        what,
                        "not granted; set grant_to and run `etl-job prepare`, or grant it",
                    ),
                    None => Finding::bad(what, "there is no such table; run `etl-job prepare`"),
                });
            }
        }
        session.commit(&doing).await?;
        Ok(findings)
    }

    /// Stages a row and applies it in a transaction that is rolled back: every right is used,
    /// nothing stays.
    async fn rolled_back_write(&mut self, schema: &StreamSchema) -> Result<()> {
        for target in self.link.targets(schema)? {
            self.try_write(schema, &target).await?;
        }
        Ok(())
    }

    async fn try_write(&mut self, schema: &StreamSchema, planned: &Target) -> Result<()> {
        let doing = self.link.doing("trying a write");
        let mut session = self.link.take().await?;
        let target = planned.found(&mut session).await?;
        let statements = Statements::new(&target)?;
        let row = trial_row(schema)?;
        // Not every text is a key of an enum.
        let rows = usize::from(target.key().all(|column| column.cast.is_none()));
        let batch = Batch {
            changes: if rows == 1 { row } else { Changes::upserts(row.records().slice(0, 0)) },
            position: Position::encode(&())?,
            progress: Progress::default(),
            aside: etl_core::Aside::default(),
        };
        let data = bulk::encode(&target, &batch.changes)?;
        session.begin(&doing).await?;
        stage(&mut session, &statements, &data, &batch, &doing).await?;
        apply(&mut session, &statements, &batch, &doing).await?;
        session.roll_back(&doing).await
    }
}

fn takes_writes(standby: bool, read_only: bool) -> Finding {
    let what = "target: takes writes";
    if standby {
        Finding::bad(what, "the server is a standby, which takes none: give the primary's address")
    } else if read_only {
        Finding::bad(
            what,
            "default_transaction_read_only is on for this server, database or role; it is left as \
             it is, since somebody may have stopped writes on purpose",
        )
    } else {
        Finding::good(what, "neither a standby nor read-only")
    }
}
