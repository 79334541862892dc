//! The source: what the engine calls.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::FixedOffset;
use etl_core::batch::{Batch, BatchLimits};
use etl_core::connector::{Finding, Safety, Stream};
use etl_core::error::{Error, Result, ResultExt};
use etl_core::position::Position;
use etl_core::predicate::Predicate;
use etl_core::quarantine::RowKey;
use etl_core::schema::StreamSchema;
use etl_core::source::{Found, Lookup, Source};
use etl_sql::postgres::catalog::{self, Table};
use etl_sql::postgres::quote::TableName;
use etl_sql::postgres::{Connect, failed, horizon, xid8};
use futures::stream::BoxStream;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use super::config::PostgresConfig;
use super::plan::Plan;
use super::{check, lookup, query, sweep};

const SILENCE: Duration = Duration::from_mins(1);

/// What comes before the rows is a dozen small requests; no server gets less time for them.
const BEFORE_ROWS: Duration = Duration::from_secs(3);

/// One table of a Postgres server.
pub struct PostgresSource {
    pub(super) connect: Connect,
    pub(super) stream: Stream,
    pub(super) table: TableName,
    predicate: Option<Predicate>,
    /// How long nothing may be heard: before rows come that is an error, while they come the
    /// server is asked.
    pub(super) silence: Duration,
    /// What [`Source::schema`] said last; a read of something else is refused.
    plan: Mutex<Option<Arc<Plan>>>,
}

impl PostgresSource {
    /// A source for one stream; opens no connection.
    ///
    /// # Errors
    /// `Config` with what to change in the file.
    pub fn new(config: &PostgresConfig, stream: &Stream) -> Result<Self> {
        let name = stream.full_name();
        stream.config.validate().context(|| &name)?;
        utc_offset(stream).context(|| &name)?;
        Ok(Self {
            connect: config.connect(&stream.pipeline)?,
            table: TableName::parse(stream.table()).context(|| &name)?,
            predicate: predicate(stream).context(|| &name)?,
            stream: stream.clone(),
            silence: SILENCE,
            plan: Mutex::new(None),
        })
    }

    /// How long the server may say nothing; a minute unless set here. While rows are awaited it is
    /// then asked on another connection whether it is still at work. Whatever comes before them is
    /// small, so there silence is an error.
    #[must_use]
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// The plan of the last [`Source::schema`], else one from the catalog as it is now.
    pub(super) async fn plan(
        &self,
        connection: &mut PgConnection,
        table: &Table,
    ) -> Result<Arc<Plan>> {
        let known = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let identity = catalog::identity(connection).await?;
        let Some(plan) = known else {
            let plan = self.resolve(connection, identity, table).await?;
            return Ok(self.remember(plan));
        };
        if plan.identity != identity {
            return Err(Error::schema(format!(
                "{} is another server now, or its history branched (system {} timeline {}, before \
                 {} timeline {}): run again, and see what `check` says",
                self.connect.place(),
                identity.system,
                identity.timeline,
                plan.identity.system,
                plan.identity.timeline
            )));
        }
        plan.still_fits(table, &self.stream)?;
        Ok(plan)
    }

    async fn resolve(
        &self,
        connection: &mut PgConnection,
        identity: catalog::Identity,
        table: &Table,
    ) -> Result<Plan> {
        let predicate = self.predicate.as_ref();
        let plan = Plan::resolve(connection, identity, table, &self.stream, predicate).await?;
        self.try_select(connection, &plan).await?;
        Ok(plan)
    }

    fn remember(&self, plan: Plan) -> Arc<Plan> {
        let plan = Arc::new(plan);
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&plan));
        plan
    }

    /// Has the server look at the select list and the filter, and lock the table until the
    /// transaction ends if there is one.
    pub(super) async fn try_select(
        &self,
        connection: &mut PgConnection,
        plan: &Plan,
    ) -> Result<()> {
        let sql = match &plan.filter {
            Some(filter) => {
                format!("{} WHERE ({filter}) IS TRUE LIMIT 0", query::select(plan, &self.table)?)
            }
            None => format!("{} LIMIT 0", query::select(plan, &self.table)?),
        };
        let doing = match &self.stream.config.filter {
            Some(filter) => format!("preparing to read {} where {filter}", self.table),
            None => format!("preparing to read {}", self.table),
        };
        connection
            .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
            .await
            .map(drop)
            .map_err(|error| failed(&doing, error))
    }

    /// The driver waits for a server without end, also for one that is gone.
    pub(super) async fn heard<T>(&self, asking: impl Future<Output = Result<T>>) -> Result<T> {
        let silence = self.silence.max(BEFORE_ROWS);
        tokio::time::timeout(silence, Box::pin(asking)).await.unwrap_or_else(|_| {
            Err(Error::transient(format!("{}: no answer within {silence:?}", self.connect.place())))
        })
    }

    async fn look(&self) -> Result<StreamSchema> {
        let mut connection = self.connect.open().await?;
        let table = Table::read(&mut connection, &self.table).await?;
        let identity = catalog::identity(&mut connection).await?;
        let plan = self.resolve(&mut connection, identity, &table).await?;
        let schema = plan.stream_schema(&self.stream, &self.table);
        self.remember(plan);
        Ok(schema)
    }

    async fn look_at_everything(&self) -> Result<Vec<Finding>> {
        let mut connection = self.connect.open().await?;
        let mut findings = vec![Finding::good("connection", self.connect.place())];
        let server = check::server(&mut connection, &self.stream).await?;
        findings.extend(server.into_iter().map(|requirement| requirement.finding));
        match self.stream.config.cursor.safety {
            Safety::Horizon => {
                findings.push(prepared(horizon::prepared(&mut connection).await?));
            }
            Safety::Xid8 if findings.iter().all(|finding| finding.ok) => {
                findings.push(open_transactions(&xid8::seen(&mut connection).await?));
            }
            Safety::Xid8 | Safety::Lookback(_) => {}
        }
        let table = match Table::read(&mut connection, &self.table).await {
            Ok(table) => table,
            Err(error) => {
                findings.push(Finding::from_error("table", &error));
                return Ok(findings);
            }
        };
        let of_table = check::table(&self.stream, &table);
        let of_stamps = check::stamps(&mut connection, self, &table).await?;
        let of_table: Vec<_> = of_table.into_iter().chain(of_stamps).collect();
        let readable = of_table.iter().all(|requirement| !requirement.finding.permission);
        findings.extend(of_table.into_iter().map(|requirement| requirement.finding));
        if readable {
            let identity = catalog::identity(&mut connection).await?;
            findings.push(match self.resolve(&mut connection, identity, &table).await {
                Ok(plan) => Finding::good("columns", format!("{} are read", plan.columns.len())),
                Err(error) => Finding::from_error("columns", &error),
            });
        }
        Ok(findings)
    }
}

fn prepared(count: i64) -> Finding {
    Finding::good(
        "prepared transactions",
        match count {
            0 => "none".to_owned(),
            count => format!(
                "{count} now: until they are committed or rolled back the horizon stands still, \
                 and every run reads again what came after it"
            ),
        },
    )
}

fn open_transactions(seen: &xid8::Seen) -> Finding {
    Finding::good(
        "open transactions",
        if seen.oldest == seen.next {
            "none that wrote before others committed".to_owned()
        } else {
            format!(
                "the oldest has number {}, others up to {} have ended: what is not below the \
                 oldest is read again by every run until that ends",
                seen.oldest,
                seen.next.saturating_sub(1)
            )
        },
    )
}

#[async_trait]
impl Source for PostgresSource {
    async fn schema(&self) -> Result<StreamSchema> {
        self.heard(self.look()).await.context(|| self.stream.full_name())
    }

    async fn read(
        &self,
        after: Option<Position>,
        limits: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        self.heard(sweep::begin(self, after, limits)).await.context(|| self.stream.full_name())
    }

    async fn committed(&self, _position: &Position) -> Result<()> {
        // The server keeps nothing for us.
        Ok(())
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        Some(self)
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        self.heard(self.look_at_everything()).await.context(|| self.stream.full_name())
    }
}

#[async_trait]
impl Lookup for PostgresSource {
    async fn rows(&self, keys: &[RowKey], reached: &Position) -> Result<Found> {
        Box::pin(lookup::rows(self, keys, reached)).await.context(|| self.stream.full_name())
    }
}

fn predicate(stream: &Stream) -> Result<Option<Predicate>> {
    let Some(text) = &stream.config.filter else {
        return Ok(None);
    };
    if text.contains('\0') {
        return Err(Error::config("where: a NUL character has no Postgres form"));
    }
    let predicate = Predicate::parse(text).context(|| "where")?;
    let unselected = predicate
        .columns()
        .into_iter()
        .find(|name| !stream.config.select.iter().any(|c| c == name));
    if let Some(column) = unselected {
        return Err(Error::config(format!(
            "where: column {column} is not in select; add it there"
        )));
    }
    Ok(Some(predicate))
}

/// The offset of a cursor without time zone, in microseconds.
pub(super) fn utc_offset(stream: &Stream) -> Result<Option<i64>> {
    let Some(text) = &stream.config.cursor.utc_offset else {
        return Ok(None);
    };
    let text = if text == "Z" || text == "UTC" { "+00:00" } else { text };
    let offset = text.parse::<FixedOffset>().map_err(|_| {
        Error::config(format!("cursor.utc_offset: \"{text}\" is not an offset such as \"+02:00\""))
    })?;
    Ok(Some(i64::from(offset.local_minus_utc()) * 1_000_000))
}
