//! Processes and connections that die at a bad moment.

use std::time::Duration;

use etl_tests::postgres_proxy::address;
use etl_tests::wire::{Cuts, Moment, Protocol, Proxy, Rewrite, Rules, Which};
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
        let sequence = shop.number("SELECT sequence FROM etl.checkpoint").await;
        let job = shop.start();
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
        shop.execute(&format!(
            "INSERT INTO public.orders (id, customer, status, amount)
             SELECT g, 'between', CASE WHEN g % 2 = 0 THEN 'confirmed' ELSE 'pending' END, 1.00
               FROM generate_series({first}, {first} + 399) AS g"
        ))
        .await;
        if mode != "append" {
            let id = random.u64(1..60_000);
            shop.execute(&format!(
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
async fn kill_9_at_twenty_moments_loses_and_doubles_nothing_in_a_keyed_postgres() {
    survives_kills("upsert").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_twenty_moments_loses_and_doubles_nothing_in_a_postgres_without_any_key() {
    survives_kills("append").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_twenty_moments_loses_nothing_of_what_replaces_in_a_postgres() {
    survives_kills("replace").await;
}

/// The commit of the second batch is carried out and its answer is lost; what the target holds
/// after the run that met it.
async fn lost_answer(delete_from_what_is_sent: Option<&str>) -> (Shop, i32) {
    let mut shop = Shop::open(5000, "append").await;
    shop.file["limits"]["batch"]["rows"] = 300.into();
    shop.write();
    let url = shop.target.url();
    let proxy = Proxy::start(
        Protocol::Postgres,
        address(&url),
        Rules {
            cuts: Some(Cuts {
                mark: "INSERT INTO \"dw\".\"orders\"".to_owned(),
                which: Which::Nth(2),
                moments: vec![Moment::After],
            }),
            rewrites: delete_from_what_is_sent.map(Rewrite::without).into_iter().collect(),
            ..Rules::default()
        },
    )
    .await;
    shop.url = url.replacen(address(&url), &proxy.address(), 1);
    let said = shop.job("run", &["--json"]);
    let code = said.code;
    assert_eq!(proxy.cuts(), [0, 0, 1], "no answer was lost, so this proves nothing: {said:?}");
    (shop, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_to_postgres_whose_answer_is_lost_is_applied_once() {
    let (shop, code) = lost_answer(None).await;
    assert_eq!(code, 0);
    shop.assert_equal().await;
    let counted = shop.number("SELECT rows_written FROM etl.run").await;
    assert_eq!(usize::try_from(counted).unwrap(), shop.wanted().await.len(), "the ledger's count");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_sequence_in_postgres_commit_a_lost_answer_doubles_rows() {
    let (shop, _) = lost_answer(Some(" AND sequence = $3")).await;
    let (wanted, found) = (shop.wanted().await.len(), shop.found().await.len());
    assert!(found > wanted, "{found} rows for {wanted} orders: the control doubled nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_stopped_in_the_middle_of_a_commit_is_not_waited_for_without_end() {
    let mut shop = Shop::open(20_000, "upsert").await;
    shop.file["limits"]["batch"]["rows"] = 50.into();
    shop.write();
    let sleeper = shop.start();
    shop.wait_for_sequence(3).await;
    sleeper.signal("STOP");
    // Its lease is waited out, not skipped: nobody renews it.
    let second = shop.run();
    assert_eq!(second["outcome"], "success", "{second}");
    shop.execute("UPDATE orders SET note = 'after' WHERE id < 100").await;
    shop.run();
    shop.assert_equal().await;
    sleeper.signal("CONT");
    let sleeper = sleeper.end().expect(75);
    assert_eq!(sleeper.last()["outcome"], "fenced", "{sleeper:?}");
    shop.assert_equal().await;
}
