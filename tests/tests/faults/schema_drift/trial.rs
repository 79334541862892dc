//! A run that sees its table altered, and what a person does then.

use std::sync::Arc;

use etl_core::pipeline::{Finished, output_schema};
use etl_core::sink::StateChange;
use etl_core::{BatchLimits, Source};
use etl_tests::postgres;
use etl_tests::torture::{Rows, Tally};

use super::border::Border;
use super::{BATCH, ROWS, Side, Step};
use crate::faults::world::{Lane, World, postgres_rows};
use crate::support::side::Side as Database;

/// A world of twelve orders of which the eleventh has the amount of the tenth and the last no note,
/// and a login with the least rights.
#[derive(Clone)]
pub(super) struct Orders {
    world: Arc<World>,
    reader: String,
}

impl Orders {
    pub(super) async fn new() -> Self {
        let mut world = Arc::into_inner(World::new(ROWS as u64).await).unwrap();
        let source = world.source.clone();
        let reader = source.role("secret").await;
        source
            .execute(&format!(
                "GRANT SELECT ON public.orders TO {reader}; GRANT pg_read_all_stats TO {reader};
                 ALTER TABLE public.orders ADD memo varchar(40) DEFAULT 'memo';
                 ALTER TABLE public.orders DISABLE TRIGGER touch;
                 UPDATE public.orders SET amount = 12.5 WHERE id = 11;
                 UPDATE public.orders SET note = NULL WHERE id = 12;
                 ALTER TABLE public.orders ENABLE TRIGGER touch"
            ))
            .await;
        world.wanted = postgres_rows(&source).await;
        Self { world: Arc::new(world), reader }
    }
}

/// A lane whose logins have the least rights.
pub(super) struct Trial {
    pub(super) lane: Arc<Lane>,
    pub(super) kind: usize,
    roles: [String; 2],
}

impl Trial {
    pub(super) async fn new(orders: &Orders, kind: &str, mode: &str) -> Self {
        let Orders { world, reader } = orders.clone();
        let mut lane = Lane::new(&world, kind, mode).await;
        lane.options.limits = BatchLimits { rows: BATCH, bytes: 1 << 20 };
        lane.sections.0["url"] = world.source.url_as(&format!("{reader}:secret")).into();
        let (url, writer) = writer(&lane.target).await;
        lane.sections.1["url"] = url.into();
        let kind = usize::from(kind == "postgres");
        Self { lane: Arc::new(lane), kind, roles: [reader, writer] }
    }

    pub(super) async fn execute(&self, side: Side, sql: &str) {
        execute(&self.lane, side, self.text(side, sql).await).await;
    }

    pub(super) async fn text(&self, side: Side, sql: &str) -> String {
        let role = &self.roles[usize::from(side == Side::Target)];
        let sql = sql.replace("{role}", role);
        if !sql.contains("{key}") {
            return sql;
        }
        let key = match &self.lane.target {
            Database::Mssql(database) => {
                let keys = "SELECT [name] FROM sys.key_constraints;";
                let keys = database.rows(keys).await.into_iter().flatten().flatten();
                let mut ours = keys.filter(|key| key.to_lowercase().contains("orders"));
                format!("[{}]", ours.next_back().unwrap())
            }
            Database::Postgres(_) | Database::Sqlite(_) => "orders_pkey".to_owned(),
        };
        sql.replace("{key}", &key)
    }

    /// One run whose border `at` sees a change; whether the read breaks there.
    pub(super) async fn run(
        &self,
        source: Arc<dyn Source>,
        (side, sql, at): (Side, &str, usize),
        breaks: bool,
        tally: &Tally,
        story: &str,
    ) -> Finished {
        let (lane, sql) = (Arc::clone(&self.lane), self.text(side, sql).await);
        let act = async move { execute(&lane, side, sql).await };
        self.run_while(Border::new(source, at, breaks, Box::pin(act)), tally, story).await
    }

    /// One run with this border.
    pub(super) async fn run_while(
        &self,
        border: Arc<Border>,
        tally: &Tally,
        story: &str,
    ) -> Finished {
        let sink = self.lane.sink(&self.lane.sections.1);
        let pipeline = self.lane.pipeline_of(Arc::clone(&border) as Arc<dyn Source>, sink);
        let finished = Lane::run(pipeline, tally, story).await.unwrap();
        assert!(border.was_reached(), "{story}: no such border");
        tally.faults(1);
        finished
    }

    pub(super) fn source(&self) -> Arc<dyn Source> {
        self.lane.source(&self.lane.sections.0)
    }

    /// The checkpoint's count of rows, and the ids that are there: of whole batches, from the first.
    pub(super) async fn whole(&self, tally: &Tally, story: &str) {
        let checkpoint = self.lane.admin().checkpoint().await.unwrap().unwrap();
        let count = usize::try_from(checkpoint.rows_total).unwrap();
        assert_eq!(count % BATCH, 0, "{story}: a batch in parts");
        let wanted: Rows = (1..=count).map(|id| vec![Some(id.to_string())]).collect();
        tally.compare(&format!("{story}: whole batches"), &wanted, &ids(&self.lane.target).await);
    }

    /// What the error advises.
    pub(super) async fn follow(&mut self, step: &Step) {
        match step {
            Step::Target(sql) => self.execute(Side::Target, sql[self.kind]).await,
            Step::Adopt => {
                let lane = &self.lane;
                let schema = self.source().schema().await.unwrap();
                let schema = output_schema(schema, &[], &lane.options.definition).unwrap();
                let adopt = StateChange::Definition(schema.definition);
                lane.admin().change(adopt).await.unwrap();
            }
            Step::Reset => {
                self.lane.admin().change(StateChange::Position(None)).await.unwrap();
            }
            Step::Refresh => {
                Arc::get_mut(&mut self.lane).unwrap().options.full_refresh = true;
            }
        }
    }
}

/// Whether somebody waits for a lock on a table of this database.
pub(super) async fn somebody_waits(database: &postgres::Database) -> bool {
    let sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND database =
       (SELECT oid FROM pg_database WHERE datname = current_database()))";
    sqlx::query_scalar(sql).fetch_one(&mut database.connect().await).await.unwrap()
}

pub(super) async fn execute(lane: &Lane, side: Side, sql: String) {
    match side {
        Side::Source => lane.world.source.execute(&sql).await,
        Side::Target => lane.target.execute(&sql).await,
    }
}

async fn ids(target: &Database) -> Rows {
    target.cells("SELECT CAST(id AS varchar(20)) FROM orders").await
}

/// A login with the rights of the job and no other: its URL and name.
async fn writer(target: &Database) -> (String, String) {
    match target {
        Database::Postgres(database) => {
            let role = database.role("secret").await;
            let rights = format!(
                "GRANT USAGE ON SCHEMA etl TO {role}; GRANT SELECT, UPDATE ON etl.checkpoint TO {role};
                 GRANT SELECT, INSERT, UPDATE ON etl.run TO {role};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON etl.quarantine TO {role};
                 GRANT SELECT ON etl.schema_version TO {role};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON public.orders TO {role}"
            );
            database.execute(&rights).await;
            (database.url_as(&format!("{role}:secret")), role)
        }
        Database::Mssql(database) => {
            let role = format!("drift_{}", database.owner.database);
            let rights = format!(
                "CREATE LOGIN [{role}] WITH PASSWORD = N'Writer-pass-1'; CREATE USER [{role}] FOR LOGIN [{role}];
                 GRANT SELECT, UPDATE ON OBJECT::[etl].[checkpoint] TO [{role}];
                 GRANT SELECT, INSERT, UPDATE ON OBJECT::[etl].[run] TO [{role}];
                 GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[etl].[quarantine] TO [{role}];
                 GRANT SELECT ON OBJECT::[etl].[schema_version] TO [{role}];
                 GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[dbo].[orders] TO [{role}];"
            );
            database.run(&rights).await;
            (database.url(&role, "Writer-pass-1"), role)
        }
        Database::Sqlite(_) => unreachable!("a file has no logins"),
    }
}
