//! The main job with a cursor of transaction numbers.

use etl_tests::postgres::run;

use super::shop::Shop;

/// The column for rows that are there already, and what sets it from now on.
const NUMBERED: &str = "ALTER TABLE public.orders ADD src_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
 CREATE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN NEW.src_xid := pg_current_xact_id(); RETURN NEW; END $$;
 CREATE TRIGGER number BEFORE INSERT OR UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION number();
 CREATE INDEX ON public.orders (src_xid, id)";

#[tokio::test(flavor = "multi_thread")]
async fn transaction_numbers_carry_the_orders_without_a_right_but_select() {
    let mut shop = Shop::unprepared(3000, "upsert").await;
    shop.source.execute(NUMBERED).await;
    let url = std::fs::read_to_string(shop.path("pg-url")).unwrap();
    let role = url.trim_start_matches("postgres://").split(':').next().unwrap().to_owned();
    shop.source.execute(&format!("REVOKE pg_read_all_stats FROM {role}")).await;
    let said = shop.job("check", &[]).expect(77);
    assert!(said.stdout.contains("pg_read_all_stats"), "{}", said.stdout);

    shop.stream(|stream| {
        stream["select"].as_array_mut().unwrap().push("src_xid".into());
        stream["cursor"] = serde_json::json!({ "column": "src_xid", "safety": "xid8" });
    });
    shop.job("lint", &[]).expect(0);
    shop.init().expect(0);
    shop.job("check", &[]).expect(0);
    let mut late = shop.source.connect().await;
    run(
        &mut late,
        "BEGIN; INSERT INTO public.orders VALUES (9001, 'late', 'confirmed', 1, 'EUR'); \
         UPDATE public.orders SET note = 'late' WHERE id = 1",
    )
    .await;
    // One transaction wrote all that was there: more rows with one number than a batch takes.
    shop.file["limits"]["batch"]["rows"] = serde_json::json!(500);
    shop.write();
    assert_eq!(shop.run()["read"], 3000);
    shop.assert_equal().await;
    shop.source
        .execute("UPDATE public.orders SET status = 'cancelled' WHERE id BETWEEN 100 AND 200")
        .await;
    shop.run();
    shop.assert_equal().await;
    run(&mut late, "COMMIT").await;
    shop.run();
    shop.assert_equal().await;
    let found = shop.found().await;
    assert!(found.iter().any(|row| row[1].as_deref() == Some("late")), "the late row came");

    shop.source.execute("ALTER TABLE public.orders DISABLE TRIGGER number").await;
    let position = "SELECT [position] FROM [etl].[checkpoint];";
    let before = shop.target.rows(position).await;
    let said = shop.job("run", &["--json"]).expect(64);
    assert!(said.stderr.contains("number is disabled"), "{}", said.stderr);
    assert!(said.stderr.contains("CREATE TRIGGER"), "{}", said.stderr);
    assert_eq!(shop.found().await, found, "rows were written");
    assert_eq!(shop.target.rows(position).await, before, "the position moved");
}
