//! The real program, killed at every fail point and anywhere else.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use etl_tests::torture::{Recorder, Tally, is_long, size};
use etl_tests::wire::{Protocol, Rewrite};

use super::points::{self, Point};
use super::shop::{Shop, share};
use super::world::at_once;

/// What is done to one run.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// The process is gone at the n-th pass of a fail point.
    At(&'static str, u64),
    /// kill -9 after this part of a run's usual time.
    After(f64),
}

/// How long a run may take.
const RUN: Duration = Duration::from_secs(60);

async fn kill(mut shop: Shop, blow: Blow, tally: Arc<Tally>) -> Shop {
    shop.change().await;
    let story = format!("{}: killed {blow:?}", shop.mode);
    tally.runs(1);
    match tokio::time::timeout(RUN, strike(&mut shop, blow)).await {
        Ok(struck) => tally.faults(u64::from(struck)),
        Err(_) => tally.hang(&story),
    }
    shop.settle(&tally, &story).await;
    shop
}

/// Whether the run was killed; at a fail point it always is.
async fn strike(shop: &mut Shop, blow: Blow) -> bool {
    let (point, after) = match blow {
        Blow::At(name, nth) => (Some(format!("{name}:{nth}:kill")), None),
        Blow::After(part) => (None, Some(shop.usual().await.mul_f64(part))),
    };
    let mut command: tokio::process::Command = shop.job(point).into();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut job = command.spawn().unwrap();
    if let Some(after) = after {
        tokio::time::sleep(after).await;
        job.start_kill().ok();
    }
    let ended = job.wait().await.unwrap();
    let killed = matches!(ended.signal(), Some(6 | 9));
    let may_end = after.is_some() && ended.success();
    assert!(killed || may_end, "{blow:?}: {ended:?}");
    killed
}

/// At each point so many times, and anywhere; in the bounded run at every n-th point.
fn blows(target: &str, mode: &str, every: usize) -> Vec<Blow> {
    let at = |round: u64| move |(name, passes): Point| Blow::At(name, 1 + round % passes);
    let mut blows = Vec::new();
    for round in 0..size(1, 5) {
        let step = if is_long() { 1 } else { every };
        blows.extend(points::of(target, mode).into_iter().step_by(step).map(at(round)));
    }
    blows.extend((0..size(2, 50)).map(|_| Blow::After(fastrand::f64() * 1.1)));
    blows
}

/// Every mode at once: most of the time somebody waits for a lease.
async fn kills(target: &'static str, name: &str) {
    // What replaces and what marks is written by the same commits.
    let modes = [("upsert", 1), ("append", 1), ("soft_delete", 5), ("replace", 5)];
    let modes = modes.map(|(mode, every)| {
        let record = Recorder::new(&format!("kill -9 at fail points and anywhere, {name}, {mode}"));
        async move {
            let shops = (size(if every > 1 { 2 } else { 6 }, 6), target, mode);
            share(shops, blows(target, mode, every), record.promise(), kill).await;
            if mode == "append" {
                control(target, &record).await;
            }
            record.end();
        }
    });
    Box::pin(at_once(modes)).await;
}

/// The same kills of a run that does not make rows and position durable together.
async fn control(target: &'static str, record: &Recorder) {
    let without = match target {
        "postgres" => "one transaction for checkpoint and rows",
        _ => "the position in each commit (only at the end of a sweep)",
    };
    let tally = record.control(without);
    let mut shop = Shop::open(target, "append").await;
    shop.settle(&tally, "the first load").await;
    assert!(!tally.is_wrong(), "without a kill nothing is wrong");
    let blow = match target {
        "mssql" => {
            let position = "[position] = @position, [phase] = N'idle', [definition] = @definition, \
                            [sequence] = [sequence] + 1,";
            let last = "position=IIF(@position LIKE'%n\":n%',@position,position),\
                        definition=@definition,sequence+=1,";
            shop.rewrite(Protocol::Tds, vec![Rewrite::instead(position, last)]).await;
            Blow::At("commit.after", 2)
        }
        "postgres" => {
            let apart = ["BEGIN ISOLATION LEVEL READ COMMITTED;", "ON COMMIT DROP"];
            shop.rewrite(Protocol::Postgres, apart.map(Rewrite::without).to_vec()).await;
            Blow::At("postgres.commit.advanced", 1)
        }
        _ => {
            // SQLite has no wire: the file itself forgets.
            let forget = "CREATE TRIGGER forget AFTER UPDATE OF position ON etl_checkpoint
                WHEN json_extract(NEW.position, '$.scan') IS NOT NULL
                BEGIN UPDATE etl_checkpoint SET position = OLD.position; END";
            shop.lane.target.execute(forget).await;
            Blow::At("commit.after", 2)
        }
    };
    shop.change().await;
    assert!(strike(&mut shop, blow).await);
    tally.faults(1);
    if target != "sqlite" {
        shop.straighten();
    }
    shop.settle(&tally, without).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_into_sql_server_may_be_killed_at_every_fail_point_and_anywhere() {
    Box::pin(kills("mssql", "SQL Server")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_into_postgres_may_be_killed_at_every_fail_point_and_anywhere() {
    Box::pin(kills("postgres", "Postgres")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_into_sqlite_may_be_killed_at_every_fail_point_and_anywhere() {
    Box::pin(kills("sqlite", "SQLite")).await;
}
