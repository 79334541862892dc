//! Commits that come late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use etl_tests::postgres;
use tokio::time::sleep;

use super::shop::Shop;

/// 20 writers with transactions of 0 to 3 s.
async fn write_until(
    source: postgres::Database,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicI64>,
    seed: u64,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut connection = source.connect().await;
    while !stop.load(Ordering::Relaxed) {
        postgres::run(&mut connection, "BEGIN").await;
        for _ in 0..random.u32(1..4) {
            let id = next.fetch_add(1, Ordering::Relaxed);
            let status = super::shop::STATES[random.usize(0..2)];
            let changed = random.i64(1..1000);
            postgres::run(
                &mut connection,
                &format!(
                    "INSERT INTO public.orders (id, customer, status, amount, currency)
                     VALUES ({id}, 'late', '{status}', 1.00, 'EUR');
                     SAVEPOINT s;
                     UPDATE public.orders SET note = 'n{id}', status = '{status}' WHERE id = {changed}"
                ),
            )
            .await;
            if random.bool() {
                postgres::run(&mut connection, "ROLLBACK TO SAVEPOINT s").await;
            }
            // Every transaction that holds a row lock ends; a writer that waits on one is late, too.
            sleep(Duration::from_millis(random.u64(0..1000))).await;
        }
        let end = if random.u32(0..5) == 0 { "ROLLBACK" } else { "COMMIT" };
        postgres::run(&mut connection, end).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_lost_to_a_late_commit_while_runs_fire() {
    let shop = Shop::unprepared(1000, "upsert").await;
    // Open since before the first load.
    let mut early = shop.source.connect().await;
    postgres::run(
        &mut early,
        "BEGIN; INSERT INTO public.orders VALUES (5000001, 'early', 'confirmed', 1, 'EUR')",
    )
    .await;
    shop.init().expect(0);
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicI64::new(1_000_000));
    let writers: Vec<_> = (0..20)
        .map(|seed| {
            let (source, stop, next) = (shop.source.clone(), Arc::clone(&stop), Arc::clone(&next));
            tokio::spawn(write_until(source, stop, next, seed))
        })
        .collect();
    shop.run();
    postgres::run(&mut early, "COMMIT").await;
    // One that stays open over four runs, and one that is prepared.
    let mut open = shop.source.connect().await;
    postgres::run(
        &mut open,
        "BEGIN; INSERT INTO public.orders VALUES (5000002, 'open', 'confirmed', 1, 'EUR')",
    )
    .await;
    shop.source
        .execute("BEGIN; INSERT INTO public.orders VALUES (5000003, 'prepared', 'confirmed', 1, 'EUR'); PREPARE TRANSACTION 'p'")
        .await;
    for _ in 0..4 {
        shop.run();
    }
    postgres::run(&mut open, "COMMIT").await;
    shop.run();
    shop.source.execute("COMMIT PREPARED 'p'").await;
    shop.run();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    shop.run();
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_that_its_deadline_stops_again_and_again_finishes() {
    let mut shop = Shop::open(20_000, "upsert").await;
    shop.file["limits"]["batch"]["rows"] = 50.into();
    shop.write();
    let mut open = shop.source.connect().await;
    postgres::run(
        &mut open,
        "BEGIN; INSERT INTO public.orders VALUES (5000001, 'open', 'confirmed', 1, 'EUR')",
    )
    .await;
    let began = Instant::now();
    let (mut stopped, mut deadline) = (0, 700);
    loop {
        let said = shop.job("run", &["--json", "--deadline", &format!("{deadline}ms")]);
        if said.code == 75 && said.stderr.contains("raise limits.deadline") {
            // This server takes longer to get at.
            deadline *= 2;
            continue;
        }
        let summary = said.expect(0).last();
        if summary["outcome"] == "success" {
            break;
        }
        assert_eq!(summary["outcome"], "stopped", "{summary}");
        stopped += 1;
        // Somebody changes what was read already.
        shop.source.execute("UPDATE public.orders SET note = 'changed' WHERE id <= 3").await;
        assert!(began.elapsed() < Duration::from_mins(5), "the first load does not finish");
    }
    assert!(stopped > 0, "the deadline stopped nothing, so this proves nothing");
    postgres::run(&mut open, "COMMIT").await;
    shop.run();
    shop.assert_equal().await;
}
