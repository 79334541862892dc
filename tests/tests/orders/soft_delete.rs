//! Orders that are cancelled are marked; the job's login has no right to delete.

use serde_json::json;

use super::shop::Shop;

const LEFT: &str = "SELECT COUNT(*) FROM [dbo].[orders] WHERE [gone_at] IS NOT NULL;";

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_orders_are_marked_without_the_right_to_delete() {
    let mut shop = Shop::unprepared(2_000, "upsert").await;
    shop.stream(|stream| {
        stream["on_filter_exit"] = json!("soft_delete");
        stream["soft_delete"] = json!({ "column": "gone_at" });
    });
    shop.init().expect(0);
    let check = shop.job("check", &[]).expect(0).stdout;
    assert!(
        check.contains("UPDATE on [dbo].[orders]") && !check.contains("DELETE on [dbo]"),
        "{check}"
    );
    shop.run();
    shop.assert_equal().await;
    let all = shop.target.number("SELECT COUNT(*) FROM [dbo].[orders];").await;

    shop.source.execute("UPDATE orders SET status = 'cancelled' WHERE id % 5 = 0").await;
    let left = shop.run();
    let gone = left["deleted"].as_i64().unwrap();
    assert!(gone > 0, "{left}");
    assert_eq!(shop.target.number(LEFT).await, gone);
    assert_eq!(shop.target.number("SELECT COUNT(*) FROM [dbo].[orders];").await, all);
    // The time is the server's, in UTC.
    let old = "SELECT COUNT(*) FROM [dbo].[orders] WHERE ABS(DATEDIFF(second, [gone_at], SYSUTCDATETIME())) > 120;";
    assert_eq!(shop.target.number(old).await, 0);

    shop.source.execute("UPDATE orders SET status = 'confirmed' WHERE status = 'cancelled'").await;
    shop.run();
    assert_eq!(shop.target.number(LEFT).await, 0);
    shop.assert_equal().await;

    // The column is part of the definition.
    shop.stream(|stream| stream["soft_delete"] = json!({ "column": "away_at" }));
    shop.target.run("ALTER TABLE [dbo].[orders] ADD [away_at] datetime2(6) NULL;").await;
    let said = shop.job("run", &["--json"]).expect(65);
    assert!(
        said.stderr.contains("soft_delete: \\\"gone_at\\\" -> \\\"away_at\\\""),
        "{}",
        said.stderr
    );
}
