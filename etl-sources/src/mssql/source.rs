//! The source: what the engine calls.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::FixedOffset;
use etl_core::batch::{Batch, BatchLimits};
use etl_core::connector::{Finding, Stream};
use etl_core::error::{Error, Result, ResultExt};
use etl_core::position::Position;
use etl_core::predicate::Predicate;
use etl_core::quarantine::RowKey;
use etl_core::schema::StreamSchema;
use etl_core::source::{Found, Lookup, Source};
use etl_sql::mssql::quote::TableName;
use etl_sql::mssql::read::TICKS_PER_SECOND;
use etl_sql::mssql::read::catalog::{Database, Table};
use etl_sql::mssql::{Connection, MssqlConfig};
use futures::stream::BoxStream;

use super::config::MssqlSourceConfig;
use super::plan::Plan;
use super::{check, lookup, query, sweep};

/// One table of a SQL Server database.
pub struct MssqlSource {
    connect: MssqlConfig,
    pub(super) stream: Stream,
    pub(super) table: TableName,
    predicate: Option<Predicate>,
    /// What [`Source::schema`] said last; a read of something else is refused.
    plan: Mutex<Option<Arc<Plan>>>,
}

impl MssqlSource {
    /// A source for one stream; opens no connection.
    ///
    /// # Errors
    /// `Config` with what to change in the file.
    pub fn new(config: MssqlSourceConfig, stream: &Stream) -> Result<Self> {
        let name = stream.full_name();
        stream.config.validate().context(|| &name)?;
        stream.config.cursor.no_transaction_numbers("SQL Server").context(|| &name)?;
        utc_offset(stream).context(|| &name)?;
        Ok(Self {
            connect: config.connect(&stream.pipeline)?,
            table: TableName::parse(stream.table()).context(|| &name)?,
            predicate: predicate(stream).context(|| &name)?,
            stream: stream.clone(),
            plan: Mutex::new(None),
        })
    }

    /// A connection whose dates are read as we write them, whatever the login's language.
    pub(super) async fn open(&self) -> Result<Connection> {
        let mut connection = Connection::open(&self.connect).await?;
        connection.batch("SET DATEFORMAT ymd;", "preparing the session").await?;
        Ok(connection)
    }

    /// The plan of the last [`Source::schema`], else one from the catalog as it is now.
    pub(super) async fn plan(
        &self,
        connection: &mut Connection,
        database: &Database,
        table: &Table,
    ) -> Result<Arc<Plan>> {
        let known = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(plan) = known else {
            return Ok(self.remember(self.resolve(connection, database, table).await?));
        };
        plan.still_fits(database, table, &self.stream)?;
        Ok(plan)
    }

    /// Works the plan out and has the server look at the select list and the filter.
    async fn resolve(
        &self,
        connection: &mut Connection,
        database: &Database,
        table: &Table,
    ) -> Result<Plan> {
        let plan = Plan::resolve(database, table, &self.stream, self.predicate.as_ref())?;
        let doing = match &self.stream.config.filter {
            Some(filter) => format!("preparing to read where {filter}"),
            None => "preparing to read".to_owned(),
        };
        connection.batch(&query::trial(&plan, &self.table)?, &doing).await?;
        Ok(plan)
    }

    fn remember(&self, plan: Plan) -> Arc<Plan> {
        let plan = Arc::new(plan);
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&plan));
        plan
    }

    async fn look(&self) -> Result<StreamSchema> {
        let mut connection = self.open().await?;
        let database = Database::read(&mut connection).await?;
        let table = Table::read(&mut connection, &self.table).await?;
        let plan = self.resolve(&mut connection, &database, &table).await?;
        let schema = plan.stream_schema(&self.stream, &self.table)?;
        self.remember(plan);
        Ok(schema)
    }

    async fn look_at_everything(&self) -> Result<Vec<Finding>> {
        let mut connection = self.open().await?;
        let place = format!(
            "SQL Server {}:{}, database {}",
            self.connect.host, self.connect.port, self.connect.database
        );
        let mut findings = vec![Finding::good("connection", place)];
        let database = Database::read(&mut connection).await?;
        let of_database = check::database(&self.stream, &database);
        findings.extend(of_database.into_iter().map(|requirement| requirement.finding));
        let table = match Table::read(&mut connection, &self.table).await {
            Ok(table) => table,
            Err(error) => {
                findings.push(Finding::from_error("table", &error));
                return Ok(findings);
            }
        };
        let of_table = check::table(&self.stream, &table);
        let readable = of_table.iter().all(|requirement| !requirement.finding.permission);
        findings.extend(of_table.into_iter().map(|requirement| requirement.finding));
        // Each on a connection of its own: after an error there may be nothing more to ask on it.
        let sight = check::sight(&mut self.open().await?, &self.stream, &table).await?;
        findings.extend(sight.map(|requirement| requirement.finding));
        if readable {
            let mut connection = self.open().await?;
            findings.push(match self.resolve(&mut connection, &database, &table).await {
                Ok(plan) => Finding::good("columns", format!("{} are read", plan.columns.len())),
                Err(error) => Finding::from_error("columns", &error),
            });
        }
        Ok(findings)
    }
}

#[async_trait]
impl Source for MssqlSource {
    async fn schema(&self) -> Result<StreamSchema> {
        self.look().await.context(|| self.stream.full_name())
    }

    async fn read(
        &self,
        after: Option<Position>,
        limits: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        sweep::begin(self, after, limits).await.context(|| self.stream.full_name())
    }

    async fn committed(&self, _position: &Position) -> Result<()> {
        // The server keeps nothing for us.
        Ok(())
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        Some(self)
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.look_at_everything().await.context(|| self.stream.full_name())
    }
}

#[async_trait]
impl Lookup for MssqlSource {
    async fn rows(&self, keys: &[RowKey], reached: &Position) -> Result<Found> {
        lookup::rows(self, keys, reached).await.context(|| self.stream.full_name())
    }
}

fn predicate(stream: &Stream) -> Result<Option<Predicate>> {
    let Some(text) = &stream.config.filter else {
        return Ok(None);
    };
    let predicate = Predicate::parse(text).context(|| "where")?;
    let unselected = predicate
        .columns()
        .into_iter()
        .find(|name| !stream.config.select.iter().any(|c| c == name));
    if let Some(column) = unselected {
        return Err(Error::config(format!(
            "where: column {column} is not in select; add it there, or write it \"as it is\": \
             without quotes a name is lower case"
        )));
    }
    Ok(Some(predicate))
}

/// The offset of a cursor without one, in steps of 100 ns.
pub(super) fn utc_offset(stream: &Stream) -> Result<Option<i64>> {
    let Some(text) = &stream.config.cursor.utc_offset else {
        return Ok(None);
    };
    let text = if text == "Z" || text == "UTC" { "+00:00" } else { text };
    let offset = text.parse::<FixedOffset>().map_err(|_| {
        Error::config(format!("cursor.utc_offset: \"{text}\" is not an offset such as \"+02:00\""))
    })?;
    Ok(Some(i64::from(offset.local_minus_utc()) * TICKS_PER_SECOND))
}
