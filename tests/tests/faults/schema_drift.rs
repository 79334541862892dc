//! Tables that somebody alters while a run is at work: each kind of DDL, on either side, at every
//! border between two batches. A batch is in the target as a whole or not at all, the checkpoint
//! agrees with what is there, the error says what to change, and what is harmless stops nothing.

mod border;
mod source;
mod target;

use std::sync::Arc;

use etl_core::pipeline::{Finished, output_schema};
use etl_core::sink::StateChange;
use etl_core::{BatchLimits, Class, Outcome, Source};
use etl_tests::torture::{Recorder, Rows, Tally};
use etl_tests::wire::{Protocol, Proxy, Rewrite, Rules};
use sqlx::Row as _;
use tokio::task::JoinSet;

use border::{Border, Forgetful};

use super::broken;
use super::world::{Lane, Link, Target, World, postgres_rows};

/// Rows, rows of a batch, and the borders: before the first batch, and behind each but the last.
const ROWS: usize = 12;
const BATCH: usize = 3;
const BORDERS: std::ops::Range<usize> = 0..ROWS / BATCH;

/// What is done to a table, and what a person does then. Statements are for SQL Server and for
/// Postgres; an empty one says that the server, or the double, has no such thing.
struct Change {
    what: &'static str,
    mode: &'static str,
    sql: [&'static str; 2],
    fate: Fate,
    /// Brings the table back to a shape that fits.
    undo: [&'static str; 2],
    then: &'static [Step],
}

enum Fate {
    /// Everything arrives.
    GoesOn,
    /// The run goes on; what the table held is gone, as the person wanted it.
    Emptied,
    /// With an error of this class that says these words.
    Stops(Class, &'static [&'static str]),
}

/// What an error advises.
enum Step {
    /// SQL at the target.
    Target([&'static str; 2]),
    /// `state adopt`
    Adopt,
    /// `state reset`
    Reset,
    /// `run --full-refresh`
    Refresh,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Source,
    Target,
}

/// A world of twelve orders of which the eleventh has the amount of the tenth and the last no note,
/// and a lane whose logins have the least rights.
struct Trial {
    lane: Arc<Lane>,
    kind: usize,
    roles: [String; 2],
}

impl Trial {
    async fn new(kind: &str, mode: &str) -> Self {
        let mut world = Arc::into_inner(World::new(ROWS as u64).await).unwrap();
        let source = world.source.clone();
        source
            .execute(
                "ALTER TABLE public.orders ADD memo varchar(40) DEFAULT 'memo';
                 ALTER TABLE public.orders DISABLE TRIGGER touch;
                 UPDATE public.orders SET amount = 12.5 WHERE id = 11;
                 UPDATE public.orders SET note = NULL WHERE id = 12;
                 ALTER TABLE public.orders ENABLE TRIGGER touch",
            )
            .await;
        world.wanted = postgres_rows(&source).await;
        let mut lane = Lane::new(&Arc::new(world), kind, mode).await;
        lane.options.limits = BatchLimits { rows: BATCH, bytes: 1 << 20 };
        let reader = source.role("secret").await;
        let grants = format!(
            "GRANT SELECT ON public.orders TO {reader}; GRANT pg_read_all_stats TO {reader}"
        );
        source.execute(&grants).await;
        lane.sections.0["url"] = source.url_as(&format!("{reader}:secret")).into();
        let (url, writer) = writer(&lane.target).await;
        lane.sections.1["url"] = url.into();
        let kind = usize::from(kind == "postgres");
        Self { lane: Arc::new(lane), kind, roles: [reader, writer] }
    }

    async fn execute(&self, side: Side, sql: &str) {
        execute(&self.lane, side, self.text(side, sql).await).await;
    }

    async fn text(&self, side: Side, sql: &str) -> String {
        let role = &self.roles[usize::from(side == Side::Target)];
        let sql = sql.replace("{role}", role);
        if !sql.contains("{key}") {
            return sql;
        }
        let key = match &self.lane.target {
            Target::Mssql(database) => {
                let keys = "SELECT [name] FROM sys.key_constraints;";
                let keys = database.rows(keys).await.into_iter().flatten().flatten();
                let ours = keys.filter(|key| key.to_lowercase().contains("orders"));
                format!("[{}]", ours.last().unwrap())
            }
            Target::Postgres(_) => "orders_pkey".to_owned(),
        };
        sql.replace("{key}", &key)
    }

    /// One run whose border `at` sees `change`; whether the read breaks there.
    async fn run(
        &self,
        source: Arc<dyn Source>,
        (side, sql, at): (Side, &str, usize),
        breaks: bool,
        tally: &Tally,
        story: &str,
    ) -> Finished {
        let (lane, sql) = (Arc::clone(&self.lane), self.text(side, sql).await);
        let act = Box::pin(async move { execute(&lane, side, sql).await });
        let border = Border::new(source, at, breaks, act);
        let sink = self.lane.sink(&self.lane.sections.1);
        let pipeline = self.lane.pipeline_of(Arc::clone(&border) as Arc<dyn Source>, sink);
        let finished = Lane::run(pipeline, tally, story).await.unwrap();
        assert!(border.was_reached(), "{story}: no such border");
        tally.faults(1);
        finished
    }

    fn source(&self) -> Arc<dyn Source> {
        self.lane.source(&self.lane.sections.0)
    }

    /// The checkpoint's count of rows, and the ids that are there: of whole batches, from the first.
    async fn whole(&self, tally: &Tally, story: &str) {
        let checkpoint = self.lane.admin().checkpoint().await.unwrap().unwrap();
        let count = usize::try_from(checkpoint.rows_total).unwrap();
        assert_eq!(count % BATCH, 0, "{story}: a batch in parts");
        let wanted: Rows = (1..=count).map(|id| vec![Some(id.to_string())]).collect();
        tally.compare(&format!("{story}: whole batches"), &wanted, &ids(&self.lane.target).await);
    }

    /// What the error advises.
    async fn follow(&mut self, step: &Step) {
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

async fn execute(lane: &Lane, side: Side, sql: String) {
    match side {
        Side::Source => lane.world.source.execute(&sql).await,
        Side::Target => lane.target.execute(&sql).await,
    }
}

async fn ids(target: &Target) -> Rows {
    match target {
        Target::Mssql(database) => database.rows("SELECT [id] FROM [dbo].[orders];").await,
        Target::Postgres(database) => {
            let mut connection = database.connect().await;
            let rows = sqlx::query("SELECT id::text FROM public.orders");
            let rows = rows.fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| vec![row.get(0)]).collect()
        }
    }
}

/// A login with the rights of the job and no other: its URL and name.
async fn writer(target: &Target) -> (String, String) {
    match target {
        Target::Postgres(database) => {
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
        Target::Mssql(database) => {
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
    }
}

/// One kind of DDL at one border, what the run says, and the runs after what it advises.
async fn at_border(kind: &str, side: Side, change: &Change, at: usize, tally: &Tally) {
    let story = format!("{kind}: {} at border {at}", change.what);
    let mut trial = Trial::new(kind, change.mode).await;
    let sql = change.sql[trial.kind];
    let run = (side, sql, at);
    let finished = trial.run(trial.source(), run, side == Side::Source, tally, &story).await;
    let mut wanted = trial.lane.world.wanted.clone();
    match change.fate {
        Fate::Stops(class, words) => {
            let error = finished.error.unwrap_or_else(|| panic!("{story}: nothing stopped it"));
            let text = format!("{story}: {error:?}");
            assert_eq!(error.class(), class, "{text}");
            for word in words.iter().chain(&["torture/public.orders"]) {
                assert!(error.to_string().contains(word), "no \"{word}\" in {text}");
            }
            trial.execute(side, change.undo[trial.kind]).await;
            let emptied = change.then.iter().any(|step| matches!(step, Step::Reset));
            if !emptied {
                trial.whole(tally, &story).await;
            }
            for step in change.then {
                trial.follow(step).await;
            }
            let again = Lane::run(trial.lane.pipeline(&trial.lane.sections), tally, &story).await;
            let again = again.unwrap();
            assert_eq!(again.report.outcome, Outcome::Success, "{story}, again: {again:?}");
            wanted = postgres_rows(&trial.lane.world.source).await;
        }
        Fate::GoesOn => {
            assert_eq!(finished.report.outcome, Outcome::Success, "{story}: {finished:?}");
            trial.whole(tally, &story).await;
        }
        Fate::Emptied => {
            assert_eq!(finished.report.outcome, Outcome::Success, "{story}: {finished:?}");
            let before = |row: &Vec<Option<String>>| {
                let id: usize = row[0].as_ref().unwrap().parse().unwrap();
                id <= at * BATCH
            };
            wanted.retain(|row| before(row) == (side == Side::Source));
        }
    }
    tally.compare(&story, &wanted, &trial.lane.target.rows().await);
    let last = Lane::run(trial.lane.pipeline(&trial.lane.sections), tally, &story).await.unwrap();
    assert_eq!(last.report.outcome, Outcome::Success, "{story}, once more: {last:?}");
    tally.compare(&story, &wanted, &trial.lane.target.rows().await);
}

/// Every kind at every border, two at a time.
async fn everything(
    kind: &'static str,
    name: &str,
    side: Side,
    changes: &'static [Change],
) -> Recorder {
    let record = Recorder::new(name);
    let place = usize::from(kind == "postgres");
    let changes = changes.iter().filter(|change| !change.sql[place].is_empty());
    assert!(changes.clone().count() >= 12);
    let (mut trials, mut failed) = (JoinSet::new(), 0);
    for (change, at) in changes.flat_map(|change| BORDERS.map(move |at| (change, at))) {
        let tally = record.promise();
        trials.spawn(async move { at_border(kind, side, change, at, &tally).await });
        if trials.len() == 4 {
            failed += usize::from(trials.join_next().await.unwrap().is_err());
        }
    }
    while let Some(ended) = trials.join_next().await {
        failed += usize::from(ended.is_err());
    }
    assert_eq!(failed, 0, "changes that did not go as they should; see above");
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_at_the_source_between_two_batches_tears_none() {
    let name = "DDL at the source at every border, Postgres to SQL Server";
    let record = everything("mssql", name, Side::Source, source::CHANGES).await;
    // The columns' names are swapped; a reader that looks anew and compares nothing goes on.
    let tally = record.control("the comparison of the table with what the run began with");
    let trial = Trial::new("mssql", "upsert").await;
    let schema = trial.source().schema().await.unwrap();
    let lane = Arc::clone(&trial.lane);
    let make = Box::new(move || lane.source(&lane.sections.0));
    let forgetful = Arc::new(Forgetful { schema, make });
    let run = (Side::Source, source::SWAP, 2);
    trial.run(forgetful, run, true, &tally, "names are swapped").await;
    tally.compare(
        "names are swapped",
        &postgres_rows(&trial.lane.world.source).await,
        &trial.lane.target.rows().await,
    );
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_at_sql_server_between_two_batches_tears_none() {
    let name = "DDL at the target at every border, SQL Server";
    let record = everything("mssql", name, Side::Target, target::CHANGES).await;
    torn(&record, "mssql", target::CHECK, "ALTER TABLE [dbo].[orders] DROP CONSTRAINT [small];")
        .await;

    let tally = record.control("the look at the table in the transaction that writes to it");
    let mut trial = Trial::new("mssql", "append").await;
    let thrown = "THROW 51006, N'the target was altered', 1;";
    let rewrites = vec![Rewrite::instead(thrown, "SET @lock = 0;")];
    let rules = Rules { rewrites, ..Rules::default() };
    let proxy = Proxy::start(Protocol::Tds, &trial.lane.server(Link::Target), rules).await;
    let sections = trial.lane.by_way_of(Link::Target, &proxy.address());
    Arc::get_mut(&mut trial.lane).unwrap().sections = sections;
    let run = (Side::Target, target::NARROWER, 2);
    trial.run(trial.source(), run, false, &tally, "a narrower type").await;
    assert!(proxy.rewritten() > 0, "the look is not sent");
    tally.compare("a narrower type", &trial.lane.world.wanted, &trial.lane.target.rows().await);
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_at_postgres_between_two_batches_tears_none() {
    let name = "DDL at the target at every border, Postgres";
    let record = everything("postgres", name, Side::Target, target::CHANGES).await;
    let check = "ALTER TABLE public.orders ADD CONSTRAINT small CHECK (id <> 11)";
    torn(&record, "postgres", check, "ALTER TABLE public.orders DROP CONSTRAINT small").await;
    record.end();
}

/// A sink that commits each batch in two parts, and a constraint that refuses the second of one.
async fn torn(record: &Recorder, kind: &str, check: &str, undo: &str) {
    let tally = record.control("one transaction for all rows of a batch");
    let trial = Trial::new(kind, "append").await;
    trial.execute(Side::Target, check).await;
    let sink = broken::splits(trial.lane.sink(&trial.lane.sections.1));
    let run = Lane::run(trial.lane.pipeline_of(trial.source(), sink), &tally, "in two parts").await;
    assert_eq!(run.unwrap().report.outcome, Outcome::Failed);
    tally.faults(1);
    trial.execute(Side::Target, undo).await;
    trial.lane.settle(&tally, "in two parts").await;
}
