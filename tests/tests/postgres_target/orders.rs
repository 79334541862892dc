//! Orders from either source, changed and changed again.

use super::shop::Shop;

async fn orders_arrive(shop: Shop) {
    shop.job("check", &[]).expect(0);
    let first = shop.run();
    assert_eq!(first["written"], 6666, "{first}");
    shop.assert_equal().await;
    shop.execute(
        "UPDATE orders SET status = 'cancelled' WHERE id % 100 = 3;
         UPDATE orders SET note = 'new ', customer = upper(customer) WHERE id % 100 = 6;
         UPDATE orders SET status = 'confirmed' WHERE id % 1000 = 1",
    )
    .await;
    let second = shop.run();
    assert!(second["deleted"].as_u64().unwrap() > 0, "{second}");
    shop.assert_equal().await;
    let third = shop.run();
    assert_eq!((&third["written"], &third["deleted"]), (&0.into(), &0.into()), "{third}");
    shop.assert_equal().await;
    let said = shop.job("run", &["--json", "--full-refresh"]).expect(0).last();
    assert_eq!(said["written"], 0, "a full refresh of what is equal writes nothing: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_arrive_from_postgres_and_follow_it() {
    orders_arrive(Shop::open(20_000, "upsert").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_arrive_from_sqlite_and_follow_it() {
    orders_arrive(Shop::sqlite(20_000, "upsert").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_looked_up_in_the_target_and_never_the_other_way_round() {
    let mut shop = Shop::open(30_000, "upsert").await;
    shop.file["streams"]["public.orders"]["where"] = "id > 0".into();
    shop.write();
    shop.run();
    shop.target
        .execute(
            "INSERT INTO dw.orders SELECT g, 'x', 'confirmed', 1, NULL, now()
               FROM generate_series(100000, 500000) AS g",
        )
        .await;
    shop.target.execute("VACUUM ANALYZE dw.orders").await;
    shop.execute("UPDATE orders SET note = 'changed' WHERE id <= 300").await;
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'orders'";
    let before = shop.number(scans).await;
    let run = shop.run();
    assert_eq!(run["written"], 300, "{run}");
    // The statistics arrive a moment later.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(shop.number(scans).await, before, "the target was read as a whole");
    let found = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'orders'";
    assert!(shop.number(found).await >= 300, "the index was not used either");
}
