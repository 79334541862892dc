//! What arrives.

use std::time::Duration;

use super::shop::Shop;

/// 20,000 in CI; the release's figure is made with `ETL_TEST_ORDERS=1000000`.
fn orders() -> u64 {
    std::env::var("ETL_TEST_ORDERS").map_or(20_000, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_equals_the_filtered_source_and_a_second_run_reads_only_what_changed() {
    let orders = orders();
    let shop = Shop::open(orders, "upsert").await;
    shop.job("check", &[]).expect(0);

    let first = shop.run();
    assert_eq!(first["outcome"], "success");
    assert_eq!(first["read"], orders);
    shop.assert_equal().await;

    shop.source
        .execute(
            "UPDATE public.orders SET status = 'cancelled'
              WHERE id = (SELECT min(id) FROM public.orders WHERE status = 'confirmed');
             UPDATE public.orders SET customer = upper(customer)
              WHERE id = (SELECT max(id) FROM public.orders WHERE status = 'confirmed');
             UPDATE public.orders SET status = 'confirmed'
              WHERE id = (SELECT min(id) FROM public.orders WHERE status = 'pending');
             INSERT INTO public.orders (id, customer, status, amount, currency)
             VALUES (0, 'lowest key', 'confirmed', 0.01, 'EUR')",
        )
        .await;
    let second = shop.run();
    assert_eq!(second["written"], 3, "{second}");
    assert_eq!(second["deleted"], 1, "the cancelled order leaves: {second}");
    let read = second["read"].as_u64().unwrap() - second["reread"].as_u64().unwrap();
    assert_eq!(read, 4, "{second}");
    shop.assert_equal().await;

    // Beyond the guard everything is settled; only the last row is looked at again.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    shop.run();
    let idle = shop.run();
    assert_eq!((&idle["written"], &idle["deleted"]), (&0.into(), &0.into()), "{idle}");
    assert!(idle["read"].as_u64().unwrap() <= 4, "{idle}");
    assert_eq!(idle["read"], idle["reread"], "{idle}");
    shop.assert_equal().await;

    let ledger = "SELECT COUNT_BIG(*) FROM [etl].[run] WHERE [outcome] = N'success' AND [source_horizon] IS NOT NULL;";
    assert_eq!(shop.target.number(ledger).await, 4);
    let applied = "SELECT SUM([rows_written]) FROM [etl].[run];";
    let written = first["written"].as_i64().unwrap() + second["written"].as_i64().unwrap();
    assert_eq!(shop.target.number(applied).await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_refresh_after_a_changed_filter_leaves_no_row_of_the_old_one() {
    let mut shop = Shop::open(500, "upsert").await;
    shop.run();
    shop.stream(|stream| stream["where"] = "status = 'confirmed' AND amount > 1.5".into());
    let refused = shop.job("run", &["--json"]).expect(65);
    assert!(refused.stderr.contains("where"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--full-refresh"), "{}", refused.stderr);
    shop.job("run", &["--full-refresh"]).expect(0);
    let wanted: Vec<_> = shop
        .wanted()
        .await
        .into_iter()
        .filter(|row| row[3].as_deref().unwrap().parse::<f64>().unwrap() > 1.5)
        .collect();
    assert_eq!(shop.found().await, wanted);
}
