//! A real run that is killed, or stands still, while it brings the stage to the target.

use std::time::Duration;

use tokio::time::sleep;

use super::shop::{Cells, Shop};

/// A shop whose target was replaced once, all of whose orders differ since, and whose target takes
/// its time: an update of it lasts for seconds.
async fn slow_to_replace() -> (Shop, Vec<Cells>, Vec<Cells>) {
    let shop = Shop::open(6_000, "replace").await;
    assert_eq!(shop.run()["written"], 2_000);
    shop.execute("UPDATE orders SET note = 'new'; DELETE FROM orders WHERE id % 10 = 0").await;
    shop.target
        .execute(
            "CREATE FUNCTION dw.slow() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;
             CREATE TRIGGER slow BEFORE UPDATE ON dw.orders FOR EACH ROW EXECUTE FUNCTION dw.slow()",
        )
        .await;
    let (before, after) = (shop.found().await, shop.wanted().await);
    assert_ne!(before, after);
    (shop, before, after)
}

/// Waits until the server is at work on the target's rows, or is not any more.
async fn wait_for_the_apply(shop: &Shop, to_be_under_way: bool) {
    let applying = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'
                     AND query LIKE 'UPDATE \"dw\".\"orders\"%' AND pid <> pg_backend_pid()";
    for _ in 0..1_000 {
        if (shop.number(applying).await > 0) == to_be_under_way {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the target is being replaced: {}", !to_be_under_way);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_replacing_leaves_the_target_as_it_was() {
    let (shop, before, after) = slow_to_replace().await;
    for _ in 0..2 {
        let job = shop.start();
        wait_for_the_apply(&shop, true).await;
        job.signal("KILL");
        assert_eq!(job.end().code, -1);
        assert_eq!(shop.found().await, before, "a half of it is seen");
        // The server goes on until it notices that nobody is there.
        wait_for_the_apply(&shop, false).await;
        assert_eq!(shop.found().await, before, "what nobody committed is seen");
    }
    let phase = "SELECT count(*) FROM etl.checkpoint WHERE phase = 'loading' AND generation = 2";
    assert_eq!(shop.number(phase).await, 1);
    let said = shop.run();
    assert_eq!(said["outcome"], "success", "{said}");
    assert_eq!(shop.found().await, after);
    assert_eq!(shop.number("SELECT generation FROM etl.checkpoint").await, 2);
    let abandoned = "SELECT count(*) FROM etl.run WHERE outcome = 'abandoned'";
    assert_eq!(shop.number(abandoned).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_sleeps_while_loading_is_fenced_when_it_wakes() {
    let mut shop = Shop::open(20_000, "replace").await;
    shop.file["limits"]["batch"]["rows"] = 50.into();
    shop.write();
    let sleeper = shop.start();
    shop.wait_for_sequence(5).await;
    sleeper.signal("STOP");
    let second = shop.run();
    assert_eq!(second["outcome"], "success", "{second}");
    shop.assert_equal().await;
    shop.execute("DELETE FROM orders WHERE id % 2 = 0").await;
    shop.run();
    sleeper.signal("CONT");
    let sleeper = sleeper.end().expect(75);
    assert_eq!(sleeper.last()["outcome"], "fenced", "{sleeper:?}");
    shop.assert_equal().await;
}
