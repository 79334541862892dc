//! A cursor that holds its writer's transaction number. Each way of losing rows that this source
//! does not take is here as a control that must lose some.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use etl_core::Class;
use etl_core::source::Source;
use etl_sql::postgres::xid8;
use etl_tests::postgres::{Database, run};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, query_scalar};

use super::late_commits::{Follower, truth, write_until};
use super::support::{
    Trial, WIDE, begin, build, end, numbered, position, rows, stream, sweep, sweep_error, value,
};

async fn trial() -> Trial {
    Trial::numbered(Database::new().await).await
}

/// As a job does that keeps the greatest number seen.
async fn follow_naively(follower: &mut Follower, source: &Arc<dyn Source>) {
    follower.follow(source).await;
    let numbers = follower.target.rows.values().filter_map(|row| row["src_xid"].as_deref());
    let greatest: Option<u64> = numbers.map(|number| number.parse().unwrap()).max();
    let mut place = value(follower.after.as_ref().unwrap());
    place["low"] = json!(greatest.map(|number| format!("xid {number}")));
    follower.after = Some(position(&place));
}

async fn number(connection: &mut PgConnection, sql: &str) -> u64 {
    let text: String =
        query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap();
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_lose_no_row_to_transaction_numbers_and_some_to_the_greatest() {
    let trial = Arc::new(trial().await);
    let stop = Arc::new(AtomicBool::new(false));
    let next_id = Arc::new(AtomicI64::new(1));
    let writers: Vec<_> = (0..20)
        .map(|seed| {
            let (trial, stop, next_id) = (trial.clone(), stop.clone(), next_id.clone());
            tokio::spawn(async move { write_until(&trial, &stop, &next_id, seed).await })
        })
        .collect();
    let source = trial.by_number(|_| ());
    let appended = trial.by_number(|config| config["mode"] = json!("append"));
    let (mut safe, mut once, mut naive) =
        (Follower::default(), Follower::default(), Follower::default());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        safe.follow(&source).await;
        once.follow(&appended).await;
        follow_naively(&mut naive, &source).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    settled(&trial).await;
    safe.follow(&source).await;
    once.follow(&appended).await;
    follow_naively(&mut naive, &source).await;

    let truth = truth(&trial).await;
    let lost = |follower: &Follower| {
        truth.iter().filter(|(id, note)| follower.note(*id).as_ref() != Some(note)).count()
    };
    assert!(truth.len() > 100, "only {} rows were written", truth.len());
    assert_eq!((lost(&safe), lost(&once)), (0, 0), "of {} rows", truth.len());
    assert_eq!(safe.target.rows.len(), truth.len(), "rows that were rolled back came");
    assert_eq!(once.target.rows.len(), truth.len(), "rows that were rolled back were appended");
    assert!(lost(&naive) > 0, "the control lost nothing: this test proves nothing");
}

/// Waits until whoever writes on the server now has ended.
async fn settled(trial: &Trial) {
    let mut connection = trial.database.connect().await;
    let next = xid8::next(&mut connection).await.unwrap();
    while xid8::seen(&mut connection).await.unwrap().oldest < next {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_savepoints_have_the_number_of_their_transaction() {
    let trial = trial().await;
    let source = trial.by_number(|_| ());
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; SAVEPOINT a; INSERT INTO orders VALUES (1, 'a'); RELEASE a").await;
    // Whoever comes now has a greater number than the transaction and a lesser one than `b`.
    trial.execute("INSERT INTO orders VALUES (10, 'other')").await;
    run(&mut open, "SAVEPOINT b; INSERT INTO orders VALUES (2, 'b'); ROLLBACK TO b").await;
    run(&mut open, "SAVEPOINT c; INSERT INTO orders VALUES (3, 'c')").await;
    let top = number(&mut open, "SELECT pg_current_xact_id()::text").await;
    let mut follower = Follower::default();
    follower.follow(&source).await;
    assert_eq!(follower.target.ids(), [10]);
    run(&mut open, "COMMIT").await;
    trial.execute("INSERT INTO orders VALUES (11, 'later')").await;
    follower.follow(&source).await;
    assert_eq!(follower.target.ids(), [1, 3, 10, 11]);
    for id in ["1", "3"] {
        assert_eq!(follower.target.rows[id]["src_xid"], Some(top.to_string()), "row {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_holds_the_numbers_until_it_ends() {
    let trial = trial().await;
    let name = &trial.database.name;
    let append = trial.by_number(|config| config["mode"] = json!("append"));
    let source = trial.by_number(|_| ());
    trial
        .execute(&format!(
            "INSERT INTO orders VALUES (1, 'a'); \
             BEGIN; INSERT INTO orders VALUES (2, 'late'); PREPARE TRANSACTION '{name}'"
        ))
        .await;
    let (mut safe, mut once) = (Follower::default(), Follower::default());
    for id in 10..13 {
        trial.execute(&format!("INSERT INTO orders VALUES ({id}, 'b')")).await;
        safe.follow(&source).await;
        once.follow(&append).await;
        assert_eq!(safe.note(id).as_deref(), Some("b"), "newer rows come early");
        assert!(once.target.ids().iter().all(|id| *id < 10), "and are not appended");
    }
    let findings = source.check().await.unwrap();
    let told = findings.iter().find(|finding| finding.what == "open transactions").unwrap();
    assert!(told.detail.contains("the oldest has number"), "{told}");
    trial.execute(&format!("COMMIT PREPARED '{name}'")).await;
    settled(&trial).await;
    safe.follow(&source).await;
    once.follow(&append).await;
    assert_eq!(safe.note(2).as_deref(), Some("late"));
    assert_eq!((once.target.ids(), once.target.read), (vec![1, 2, 10, 11, 12], 5), "once each");
}

/// The promise rests on the trigger. The check cannot see through one that mentions all that it
/// must and does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn control_a_trigger_that_sets_nothing_loses_an_update() {
    for (body, expected) in [
        ("NEW.src_xid := pg_current_xact_id();", Some("changed")),
        ("IF false THEN NEW.src_xid := pg_current_xact_id(); END IF;", Some("first")),
    ] {
        let trial = trial().await;
        trial
            .execute(&format!(
                "CREATE OR REPLACE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN {body} RETURN NEW; END $$; INSERT INTO orders VALUES (1, 'first')"
            ))
            .await;
        let source = trial.by_number(|_| ());
        let mut follower = Follower::default();
        settled(&trial).await;
        follower.follow(&source).await;
        trial.execute("UPDATE orders SET note = 'changed'").await;
        settled(&trial).await;
        follower.follow(&source).await;
        assert_eq!(follower.note(1).as_deref(), expected, "{body}");
    }
}

/// A sweep is interrupted behind rows of an open transaction, which then commits.
async fn interrupted(trial: &Trial) -> (Arc<dyn Source>, Follower) {
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; INSERT INTO orders VALUES (1, 'late')").await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(2, 20) n").await;
    let source = trial.by_number(|_| ());
    let batches = begin(&source, None, rows(5), 2).await.unwrap();
    run(&mut open, "COMMIT").await;
    let mut follower = Follower::default();
    follower.target.apply(&batches);
    follower.after = Some(end(&batches));
    (source, follower)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_sweep_keeps_its_number_and_a_fresh_one_loses_rows() {
    let trial = trial().await;
    let (source, mut kept) = interrupted(&trial).await;
    settled(&trial).await;
    let mut fresh = Follower { after: kept.after.clone(), ..Follower::default() };
    let mut place = value(fresh.after.as_ref().unwrap());
    let next = xid8::next(&mut trial.database.connect().await).await.unwrap();
    place["h"] = json!(format!("xid {next}"));
    fresh.after = Some(position(&place));
    for _ in 0..2 {
        kept.follow(&source).await;
        fresh.follow(&source).await;
    }
    assert_eq!(kept.target.rows.len(), 20);
    assert_eq!(fresh.note(1), None, "the control lost nothing: this test proves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_source_is_not_read_again_and_its_freshness_goes_on() {
    let Some(database) = Database::alone().await else { return };
    let trial = Trial::numbered(database).await;
    trial.execute("INSERT INTO orders SELECT n, 'a' FROM generate_series(1, 20) n").await;
    let source = trial.by_number(|_| ());
    let first = sweep(&source, None, WIDE).await.unwrap();
    // The end of a file of the log, where its end lies behind a header.
    trial.execute("SELECT pg_switch_wal()").await;
    let second = sweep(&source, Some(&end(&first)), WIDE).await.unwrap();
    assert_eq!((first[0].progress.read, second[0].progress.read), (20, 0));
    let horizons = [&first, &second].map(|batches| batches[0].progress.horizon_micros.unwrap());
    assert!(horizons[0] < horizons[1], "{horizons:?}");

    // Somebody who writes holds both, and freshness goes on once it has ended.
    let mut open = trial.database.connect().await;
    run(&mut open, "BEGIN; INSERT INTO orders VALUES (30, 'late')").await;
    trial.execute("INSERT INTO orders VALUES (31, 'early')").await;
    let mut after = end(&second);
    for _ in 0..2 {
        let held = sweep(&source, Some(&after), WIDE).await.unwrap();
        assert_eq!(held[0].progress.read, 1);
        assert_eq!(held[0].progress.horizon_micros, Some(horizons[1]));
        after = end(&held);
        assert!(value(&after)["next"].is_array(), "{after}");
    }
    run(&mut open, "COMMIT").await;
    let free = sweep(&source, Some(&after), WIDE).await.unwrap();
    assert!(free[0].progress.horizon_micros > Some(horizons[1]));
    assert_eq!(value(&end(&free))["next"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_another_table_and_another_cursor_are_told_by_the_definition() {
    let trial = trial().await;
    trial.execute("ALTER TABLE orders ADD updated_at timestamptz NOT NULL DEFAULT now()").await;
    let select = json!(["id", "note", "src_xid", "updated_at"]);
    let by_number = trial.by_number(|config| config["select"] = select.clone());
    let by_time = trial.source(|config| {
        config["select"] = select.clone();
        config["cursor"]["safety"] = json!({ "lookback": "1m" });
        config["cursor"]["set_by"] = json!("application");
    });
    let numbered = by_number.schema().await.unwrap().definition;
    let changes = by_time.schema().await.unwrap().definition.changes_since(&numbered);
    assert!(changes[0].starts_with("source.cursor: \"src_xid set by database, xid8\""));
    assert!(numbered.to_text().unwrap().contains("\"source.system\":"));
    // A position of the other cursor is refused even where somebody adopted the definition.
    for (source, other) in [(&by_number, &by_time), (&by_time, &by_number)] {
        trial.execute("INSERT INTO orders VALUES (1, 'a') ON CONFLICT DO NOTHING").await;
        let position = end(&sweep(source, None, WIDE).await.unwrap());
        let error = sweep_error(other, Some(&position)).await;
        assert_eq!(error.class(), Class::Config, "{error}");
        assert!(error.to_string().contains("another cursor"), "{error}");
    }
    // As a restore from a dump does it: the same name and the same numbers in another table.
    trial
        .execute(
            "CREATE TABLE copy (LIKE orders INCLUDING ALL); INSERT INTO copy SELECT * FROM orders; \
             DROP TABLE orders; ALTER TABLE copy RENAME TO orders; CREATE TRIGGER number \
             BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION number()",
        )
        .await;
    let again = trial.by_number(|config| config["select"] = select.clone());
    let changes = again.schema().await.unwrap().definition.changes_since(&numbered);
    assert!(changes.len() == 1 && changes[0].starts_with("source.oid:"), "{changes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_the_server_has_not_given_out_are_refused() {
    let trial = trial().await;
    trial.execute("INSERT INTO orders VALUES (1, 'a')").await;
    let source = trial.by_number(|_| ());
    let mut place = value(&end(&sweep(&source, None, WIDE).await.unwrap()));
    for field in ["h", "low"] {
        place[field] = json!("xid 99999999999");
    }
    let error = sweep_error(&source, Some(&position(&place))).await;
    assert_eq!(error.class(), Class::Schema, "{error}");
    assert!(error.to_string().contains("went back, from xid 99999999999"), "{error}");

    trial
        .execute(
            "ALTER TABLE orders DISABLE TRIGGER number; \
             INSERT INTO orders VALUES (7, 'CANARY', '18446744073709551615'); \
             ALTER TABLE orders ENABLE TRIGGER number",
        )
        .await;
    let error = sweep_error(&source, None).await;
    assert_eq!(error.class(), Class::Data, "{error}");
    let text = error.to_string();
    assert!(text.contains("src_xid of the row with key (id = 7)") && !text.contains("CANARY"));
    trial.execute("UPDATE orders SET note = 'b' WHERE id = 7").await;
    assert_eq!(sweep(&source, None, WIDE).await.unwrap()[0].progress.read, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_right_beyond_select_is_needed_but_the_servers_name_is() {
    let trial = trial().await;
    let role = trial.database.role("secret").await;
    trial.execute(&format!("GRANT SELECT ON orders TO {role}")).await;
    trial.execute("INSERT INTO orders VALUES (1, 'a')").await;
    let section = trial.database.section_as(&format!("{role}:secret"));
    let source = build(&section, &stream("public.orders", numbered)).unwrap();
    assert_eq!(sweep(&source, None, WIDE).await.unwrap()[0].progress.read, 1);
    for finding in source.check().await.unwrap() {
        assert!(finding.ok, "{finding}");
    }
    trial.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").await;
    let unnamed = build(&section, &stream("public.orders", numbered)).unwrap();
    let error = sweep_error(&unnamed, None).await;
    assert_eq!(error.class(), Class::Permission, "{error}");
    assert!(error.to_string().contains("GRANT EXECUTE ON FUNCTION pg_control_system()"));
}

/// Sends a signal to a process of the server; that may cost us the connection.
async fn signal(connection: &mut PgConnection, signal: &str, pid: u64) {
    let sql = format!("COPY (SELECT 1) TO PROGRAM 'kill -{signal} {pid}'");
    drop(sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await);
}

/// Kills a session of the server, so that all start anew without what was not on disk.
async fn crash(trial: &Trial) {
    let mut victim = trial.database.connect().await;
    let pid = number(&mut victim, "SELECT pg_backend_pid()::text").await;
    signal(&mut trial.database.connect().await, "KILL", pid).await;
    let options: PgConnectOptions = trial.database.url().parse().unwrap();
    while victim.ping().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..600 {
        if PgConnection::connect_with(&options).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_a_crash_gives_out_again_is_not_behind_the_horizon() {
    let Some(database) = Database::alone().await else { return };
    let trial = Trial::numbered(database).await;
    trial.execute("INSERT INTO orders VALUES (1, 'a')").await;
    trial.execute("CHECKPOINT").await;
    let source = trial.by_number(|_| ());
    let mut safe = Follower::default();
    safe.follow(&source).await;

    // Nobody puts the log on disk from now on.
    let mut connection = trial.database.connect().await;
    let walwriter = "SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'walwriter'";
    let walwriter = number(&mut connection, walwriter).await;
    signal(&mut connection, "STOP", walwriter).await;
    trial.execute("INSERT INTO orders VALUES (2, 'lost')").await;
    let mut connection = trial.database.connect().await;
    let lost = number(&mut connection, "SELECT src_xid::text FROM orders WHERE id = 2").await;
    safe.follow(&source).await;
    assert_eq!(safe.note(2).as_deref(), Some("lost"), "it comes early");
    let mut place = value(safe.after.as_ref().unwrap());
    // As if what ended were always on disk.
    for field in ["h", "low"] {
        place[field] = json!(format!("xid {}", lost + 1));
    }
    let mut hasty = Follower { after: Some(position(&place)), ..Follower::default() };

    crash(&trial).await;
    trial.execute("INSERT INTO orders VALUES (3, 'new')").await;
    let mut connection = trial.database.connect().await;
    let again = "SELECT src_xid::text FROM orders WHERE id = 3";
    assert_eq!(number(&mut connection, again).await, lost, "no number was given out twice");
    trial.execute("CHECKPOINT").await;
    safe.follow(&source).await;
    hasty.follow(&source).await;
    assert_eq!(safe.note(3).as_deref(), Some("new"));
    assert_eq!(hasty.note(3), None, "the control lost nothing: this test proves nothing");
}
