//! Processes and connections that die at a bad moment.

use std::time::Duration;

use etl_tests::wire::{Cuts, Moment, Protocol, Proxy, Rewrite, Rules, Which};
use serde_json::json;
use tokio::time::sleep;

use super::shop::Shop;

/// Kills the job at random moments of its life, runs it again, and adds orders in between.
async fn survives_kills(mode: &str) {
    const KILLS: u64 = 20;
    // What replaces begins at the beginning with each run that ends.
    let orders = if mode == "replace" { 15_000 } else { 60_000 };
    let mut shop = Shop::open(orders, mode).await;
    // So small that a load takes longer than a process lives; an append carries fewer rows.
    shop.file["limits"]["batch"]["rows"] = if mode == "append" { 5 } else { 50 }.into();
    shop.write();
    let mut random = fastrand::Rng::with_seed(42);
    let mut killed = 0;
    // A kill counts if it hit a living process; each round brings work for the next.
    for round in 0..KILLS * 3 {
        if killed == KILLS {
            break;
        }
        let sequence = shop.target.number("SELECT [sequence] FROM [etl].[checkpoint];").await;
        let job = shop.start(&[]);
        // Most die at work, some while they start or wait for the lease of the one before.
        if round % 5 > 0 {
            shop.wait_for_sequence(sequence).await;
        }
        sleep(Duration::from_millis(random.u64(0..150))).await;
        job.signal("KILL");
        let ended = job.end();
        assert!([-1, 0].contains(&ended.code), "{ended:?}");
        killed += u64::from(ended.code == -1);
        let first = 100_000 + round * 400;
        shop.source
            .execute(&format!(
                "INSERT INTO public.orders (id, customer, status, amount, currency)
                 SELECT g, 'between', CASE WHEN g % 2 = 0 THEN 'confirmed' ELSE 'pending' END, 1.00, 'EUR'
                   FROM generate_series({first}, {first} + 399) AS g"
            ))
            .await;
        if mode != "append" {
            let id = random.u64(1..60_000);
            shop.source
                .execute(&format!(
                    "UPDATE public.orders SET status = CASE status WHEN 'confirmed' THEN 'cancelled' ELSE 'confirmed' END
                      WHERE id IN ({id}, {id} + 1)"
                ))
                .await;
        }
    }
    assert_eq!(killed, KILLS, "kills that hit a living process");
    // In append mode a row is delivered once it is settled.
    sleep(Duration::from_millis(2500)).await;
    shop.run();
    shop.run();
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_twenty_moments_loses_and_doubles_nothing_in_a_keyed_target() {
    survives_kills("upsert").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_twenty_moments_loses_and_doubles_nothing_in_a_table_without_any_key() {
    survives_kills("append").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_twenty_moments_loses_nothing_of_what_replaces() {
    survives_kills("replace").await;
}

/// A shop whose runs take a while.
async fn slow_shop() -> Shop {
    let mut shop = Shop::open(20_000, "upsert").await;
    shop.file["limits"]["batch"]["rows"] = 50.into();
    shop.write();
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_at_once_one_works_and_the_other_says_so() {
    let shop = slow_shop().await;
    let first = shop.start(&[]);
    shop.wait_for_sequence(3).await;
    let second = shop.job("run", &["--json"]).expect(0).last();
    assert_eq!(second["outcome"], "skipped", "{second}");
    assert_eq!(second["written"], 0);
    let first = first.end().expect(0).last();
    assert_eq!(first["outcome"], "success", "{first}");
    shop.assert_equal().await;
    let skipped = "SELECT COUNT_BIG(*) FROM [etl].[run] WHERE [outcome] = N'skipped';";
    assert_eq!(shop.target.number(skipped).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_that_wakes_after_another_took_over_writes_nothing() {
    let shop = slow_shop().await;
    let sleeper = shop.start(&[]);
    shop.wait_for_sequence(3).await;
    sleeper.signal("STOP");
    // The lease of the sleeper is waited out, not skipped: nobody renews it.
    let second = shop.run();
    assert_eq!(second["outcome"], "success", "{second}");
    shop.source.execute("UPDATE public.orders SET note = 'after' WHERE id < 100").await;
    shop.run();
    shop.assert_equal().await;
    sleeper.signal("CONT");
    let sleeper = sleeper.end().expect(75);
    assert_eq!(sleeper.last()["outcome"], "fenced", "{sleeper:?}");
    shop.assert_equal().await;
}

/// The commit of the second batch is carried out and its answer is lost; what the target holds
/// after the run that met it.
async fn lost_answer(delete_from_what_is_sent: Option<&str>) -> (Shop, i32) {
    let mut shop = Shop::open(5000, "append").await;
    shop.file["limits"]["batch"]["rows"] = 300.into();
    shop.file["target"]["tls"] = json!("disable");
    shop.write();
    let owner = &shop.target.owner;
    let proxy = Proxy::start(
        Protocol::Tds,
        &format!("{}:{}", owner.host, owner.port),
        Rules {
            cuts: Some(Cuts {
                mark: "SELECT @deleted AS [deleted]".to_owned(),
                which: Which::Nth(2),
                moments: vec![Moment::After],
            }),
            rewrites: delete_from_what_is_sent.map(Rewrite::without).into_iter().collect(),
            ..Rules::default()
        },
    )
    .await;
    let url = shop.url_at("127.0.0.1", proxy.port());
    let said = shop.job_to(&url, "run", &["--json"]);
    let code = said.code;
    assert_eq!(proxy.cuts(), [0, 0, 1], "no answer was lost, so this proves nothing: {said:?}");
    (shop, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_applied_once() {
    let (shop, code) = lost_answer(None).await;
    assert_eq!(code, 0);
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_sequence_in_the_commit_a_lost_answer_doubles_rows() {
    let (shop, _) = lost_answer(Some(" AND [sequence] = @sequence")).await;
    let (wanted, found) = (shop.wanted().await.len(), shop.found().await.len());
    assert!(found > wanted, "{found} rows for {wanted} orders: the control doubled nothing");
}
