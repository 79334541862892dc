//! Every fault that a test can set.

use std::time::{Duration, Instant};

use etl_tests::tds::{Action, Fault, Handle, Point};

use super::client::{config, connect, connect_with, fails, one, run, server, try_run};
use super::protocol::{APPLY, STAGE, apply, good, init, stage, take};

fn error(number: i32, class: u8) -> Action {
    Action::Error { number, class, state: 1, message: "set by a test".to_owned() }
}

#[tokio::test]
async fn an_error_strikes_a_statement_once_or_always() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, "CREATE TABLE t (a int)").await;
    server.fault(Fault::error_at("insert T", 1205, 13).nth(2));
    run(&mut c, "INSERT t VALUES (1)").await;
    run(&mut c, "BEGIN TRAN").await;
    assert_eq!(fails(&mut c, "INSERT t VALUES (2)").await, 1205);
    assert_eq!(one(&mut c, "SELECT @@TRANCOUNT").await, "0", "a deadlock ends the transaction");
    run(&mut c, "INSERT t VALUES (3)").await;
    server.fault(Fault::error_at("DELETE", 1222, 16).always());
    for _ in 0..3 {
        assert_eq!(fails(&mut c, "EXEC('DELETE t')").await, 1222);
    }
    server.clear_faults();
    run(&mut c, "DELETE t WHERE a = 1").await;
    assert_eq!(server.counters().faults, 4);
    // From class 20 on the connection goes too.
    server.fault(Fault::error_at("SELECT 'x'", 596, 21));
    assert_eq!(fails(&mut c, "SELECT 'x'").await, 596);
    assert!(try_run(&mut c, "SELECT 1").await.is_err());
}

#[tokio::test]
async fn errors_strike_logins_bulk_ends_and_commits() {
    let server = server();
    server.fault(Fault::new(Point::Login, error(40_613, 20)));
    assert_eq!(connect_with(config(&server)).await.err().and_then(|e| e.code()), Some(40_613));
    let mut c = connect(&server).await;
    init(&mut c).await;
    run(&mut c, STAGE).await;
    server.fault(Fault::new(Point::BulkEnd, error(1105, 17)));
    assert_eq!(stage(&mut c, &[good(1, "a")]).await.unwrap_err().code(), Some(1105));
    assert_eq!(one(&mut c, "SELECT COUNT(*) FROM #batch").await, "0");
    stage(&mut c, &[good(1, "a")]).await.unwrap();
    let me = uuid::Uuid::from_u128(7);
    let (version, _) = take(&mut c, me, 30).await.unwrap();
    server.fault(Fault::new(Point::Commit, error(9002, 17)));
    assert_eq!(apply(&mut c, me, "p", version).await.unwrap_err().code(), Some(9002));
    assert_eq!(one(&mut c, "SELECT COUNT(*), @@TRANCOUNT FROM goods").await, "0,0");
    assert_eq!(apply(&mut c, me, "p", version).await.unwrap(), (0, 0, 1));
}

/// Runs the protocol's commit; true when it was answered.
async fn attempt(server: &Handle, me: uuid::Uuid, id: i64) -> bool {
    let Ok(mut c) = connect_with(config(server)).await else { return false };
    if try_run(&mut c, STAGE).await.is_err() {
        return false;
    }
    let Ok(Ok(rows)) = tokio::time::timeout(Duration::from_secs(5), async {
        let version = c.simple_query("SELECT version FROM load.state").await?.into_row().await?;
        let version: i64 = version.and_then(|r| r.get(0)).unwrap_or(-1);
        stage_one(&mut c, id).await?;
        let row =
            c.query(APPLY, &[&"goods", &"p", &1_i64, &version, &me]).await?.into_results().await?;
        Ok::<_, tiberius::error::Error>(row)
    })
    .await
    else {
        return false;
    };
    !rows.is_empty()
}

async fn stage_one(c: &mut super::client::Sql, id: i64) -> tiberius::Result<()> {
    let text = format!("INSERT [#batch] VALUES (0, {id}, N'x', 1, NULL, SYSDATETIMEOFFSET())");
    try_run(c, &text).await
}

#[tokio::test]
async fn a_connection_cut_at_any_packet_leaves_all_or_nothing() {
    for point in [Point::PacketIn, Point::PacketOut] {
        let server = server();
        let mut admin = connect(&server).await;
        init(&mut admin).await;
        let me = uuid::Uuid::from_u128(7);
        take(&mut admin, me, 30).await.unwrap();
        let (mut answered, mut lost) = (0, 0);
        for n in 1.. {
            server.fault(Fault::new(point.clone(), Action::Cut).nth(n));
            let ok = attempt(&server, me, i64::try_from(n).unwrap()).await;
            let struck = server.counters().faults == n;
            server.clear_faults();
            assert!(n < 40, "the run never ends");
            // Reading waits until the cut session has ended.
            let rows = one(&mut admin, &format!("SELECT COUNT(*) FROM goods WHERE id = {n}")).await;
            match (ok, rows.as_str()) {
                (true, "1") => answered += 1,
                (false, "0") => {}
                (false, "1") => lost += 1,
                other => panic!("packet {n}: {other:?}"),
            }
            if !struck {
                break;
            }
        }
        assert_eq!(answered, 1, "only the run that was not cut is answered");
        // Cut before the answer to a commit: done, and the client cannot know.
        assert_eq!(lost, u32::from(point == Point::PacketOut));
        assert_eq!(
            one(&mut admin, "SELECT COUNT(*) - MAX(version) + 1 FROM goods CROSS JOIN load.state")
                .await,
            "0"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_dropped_held_and_late() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, "CREATE TABLE t (a int)").await;
    // Dropped: done, but the client never hears of it.
    server.fault(Fault::new(Point::Committed, Action::DropAnswer));
    assert!(try_run(&mut c, "BEGIN TRAN; INSERT t VALUES (1); COMMIT; SELECT 1").await.is_err());
    let mut c = connect(&server).await;
    assert_eq!(one(&mut c, "SELECT COUNT(*) FROM t").await, "1");
    // Cut before it: not done.
    server.fault(Fault::new(Point::Commit, Action::Cut));
    assert!(try_run(&mut c, "BEGIN TRAN; INSERT t VALUES (2); COMMIT; SELECT 1").await.is_err());
    let mut c = connect(&server).await;
    assert_eq!(one(&mut c, "SELECT COUNT(*) FROM t").await, "1");
    // The same through the protocol's own transaction requests.
    server.fault(Fault::new(Point::Committed, Action::Cut));
    c.begin_transaction().await.unwrap();
    run(&mut c, "INSERT t VALUES (3)").await;
    assert!(c.commit_transaction().await.is_err());
    let mut c = connect(&server).await;
    assert_eq!(one(&mut c, "SELECT COUNT(*) FROM t").await, "2");
    // Held before the statement, and with its answer.
    for (action, during) in [(Action::Hold("h".into()), "2"), (Action::HoldAnswer("h".into()), "4")]
    {
        server.fault(Fault::new(Point::Statement("INSERT t VALUES (4)".into()), action));
        let held = tokio::spawn(async move {
            run(&mut c, "INSERT t VALUES (4)").await;
            c
        });
        let server_ref = &server;
        assert!(tokio::task::block_in_place(|| server_ref.wait_held("h", Duration::from_secs(5))));
        let mut other = connect(&server).await;
        assert_eq!(one(&mut other, "SELECT COUNT(*) FROM t").await, during);
        server.release("h");
        c = held.await.unwrap();
    }
    for action in [Action::Delay(200), Action::DelayAnswer(200)] {
        server.fault(Fault::new(Point::Statement("SELECT 5".into()), action));
        let start = Instant::now();
        run(&mut c, "SELECT 5").await;
        assert!(start.elapsed() >= Duration::from_millis(200));
    }
}

#[tokio::test]
async fn faults_are_set_by_statement_too_and_statements_are_logged() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, r#"EXEC double.fault '{"point":{"statement":"SELECT 7"},"action":{"error":{"number":1204,"class":19,"state":4,"message":"no locks"}}}'"#).await;
    assert_eq!(fails(&mut c, "SELECT 7").await, 1204);
    assert_eq!(fails(&mut c, "EXEC double.fault '{\"wibble\":1}'").await, 50_002);
    server.clear_statements();
    run(&mut c, "SELECT 1").await;
    c.query("SELECT @P1", &[&1]).await.unwrap().into_results().await.unwrap();
    assert_eq!(server.statements(), ["SELECT 1", "SELECT @P1"]);
    let n = server.counters();
    assert!(
        n.packets_in >= 6
            && n.packets_out >= 6
            && n.sessions == 1
            && n.open_sessions == 1
            && n.statements >= 5,
        "{n:?}"
    );
}
