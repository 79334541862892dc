//! Orders that are cancelled are marked; the job's role has no right to delete.

use serde_json::json;

use super::shop::Shop;

const LEFT: &str = "SELECT count(*) FROM dw.orders WHERE _deleted_at IS NOT NULL";

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_orders_are_marked_in_postgres_without_the_right_to_delete() {
    let mut shop = Shop::open(3_000, "upsert").await;
    shop.target.execute("DROP SCHEMA dw CASCADE").await;
    let role = shop.target.role("Job-pass-1").await;
    shop.file["target"]["grant_to"] = json!(role);
    shop.file["streams"]["public.orders"]["on_filter_exit"] = json!("soft_delete");
    shop.write();
    let plan = shop.job("prepare", &["--plan"]).expect(0).stdout;
    assert!(plan.contains("GRANT SELECT, INSERT, UPDATE ON \"dw\".\"orders\""), "{plan}");
    shop.job("prepare", &[]).expect(0);
    shop.url = shop.target.url_as(&format!("{role}:Job-pass-1"));
    shop.job("check", &[]).expect(0);
    shop.run();
    shop.assert_equal().await;
    let all = shop.number("SELECT count(*) FROM dw.orders").await;

    shop.execute("UPDATE orders SET status = 'cancelled' WHERE id % 30 = 3").await;
    let left = shop.run();
    let gone = left["deleted"].as_i64().unwrap();
    assert!(gone > 0, "{left}");
    assert_eq!(shop.number(LEFT).await, gone);
    assert_eq!(shop.number("SELECT count(*) FROM dw.orders").await, all);
    let old = "SELECT count(*) FROM dw.orders WHERE _deleted_at NOT BETWEEN now() - interval '2 min' AND now()";
    assert_eq!(shop.number(old).await, 0);

    shop.execute("UPDATE orders SET status = 'confirmed' WHERE id % 30 = 3").await;
    let back = shop.run();
    assert_eq!(back["written"].as_i64(), Some(gone), "{back}");
    assert_eq!(shop.number(LEFT).await, 0);
    shop.assert_equal().await;
}
