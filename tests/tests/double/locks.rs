//! Sessions meet: who waits, who is told no, who sees what.

use std::time::{Duration, Instant};

use etl_tests::tds::{Options, Server};

use super::client::{Sql, connect, fails, one, run, server, try_run};

async fn table(c: &mut Sql) {
    run(c, "CREATE TABLE t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL); INSERT t VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
}

#[tokio::test]
async fn writers_of_different_rows_do_not_meet_and_of_one_row_wait() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    table(&mut a).await;
    run(&mut b, "SET LOCK_TIMEOUT 150").await;
    run(&mut a, "BEGIN TRAN; UPDATE t SET v = 'A' WHERE id = 1").await;
    run(&mut b, "BEGIN TRAN; UPDATE t SET v = 'B' WHERE id = 2; INSERT t VALUES (4, 'd'); COMMIT")
        .await;
    assert_eq!(fails(&mut b, "UPDATE t SET v = 'x' WHERE id = 1").await, 1222);
    assert_eq!(fails(&mut b, "DELETE t WHERE id = 1").await, 1222);
    assert_eq!(fails(&mut b, "INSERT t VALUES (1, 'dup')").await, 1222);
    // A scan has to look at the locked row; a key has not.
    assert_eq!(fails(&mut b, "SELECT COUNT(*) FROM t").await, 1222);
    assert_eq!(one(&mut b, "SELECT v FROM t WHERE id = 3").await, "c");
    assert_eq!(one(&mut b, "SELECT COUNT(*) FROM t WITH (READPAST)").await, "3");
    assert_eq!(one(&mut b, "SELECT v FROM t WITH (NOLOCK) WHERE id = 1").await, "A");
    // The time-out ended the statement only.
    assert_eq!(
        fails(
            &mut b,
            "BEGIN TRAN; UPDATE t SET v = 'kept' WHERE id = 2; UPDATE t SET v = 'x' WHERE id = 1"
        )
        .await,
        1222
    );
    assert_eq!(one(&mut b, "SELECT @@TRANCOUNT; COMMIT").await, "1");
    run(&mut a, "COMMIT").await;
    assert_eq!(one(&mut b, "SELECT v FROM t ORDER BY id").await, "A|kept|c|d");
}

#[tokio::test]
async fn a_waiter_goes_on_when_the_other_ends_and_sees_what_it_left() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    table(&mut a).await;
    for (end, expected) in [("COMMIT", "A"), ("ROLLBACK", "a")] {
        run(
            &mut a,
            "UPDATE t SET v = 'a' WHERE id = 1; BEGIN TRAN; UPDATE t SET v = 'A' WHERE id = 1",
        )
        .await;
        let waiting = tokio::spawn(async move {
            let start = Instant::now();
            let got = one(&mut b, "SELECT v FROM t WHERE id = 1").await;
            (b, got, start.elapsed())
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        run(&mut a, end).await;
        let (back, got, waited) = waiting.await.unwrap();
        b = back;
        assert_eq!(got.to_lowercase(), "a");
        assert_eq!(got, expected, "no dirty read, after {end}");
        assert!(waited >= Duration::from_millis(150), "{waited:?}");
    }
}

#[tokio::test]
async fn with_row_versions_readers_see_the_last_commit() {
    let server =
        Server::start(Options { read_committed_snapshot: true, ..Options::default() }).unwrap();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    table(&mut a).await;
    run(&mut a, "BEGIN TRAN; UPDATE t SET v = 'A' WHERE id = 1; DELETE t WHERE id = 2; INSERT t VALUES (9, 'n')").await;
    run(&mut b, "SET LOCK_TIMEOUT 0").await;
    assert_eq!(one(&mut b, "SELECT id, v FROM t ORDER BY id").await, "1,a|2,b|3,c");
    assert_eq!(fails(&mut b, "UPDATE t SET v = 'x' WHERE id = 2").await, 1222);
    assert_eq!(one(&mut a, "SELECT id, v FROM t ORDER BY id").await, "1,A|3,c|9,n");
    run(&mut a, "COMMIT").await;
    assert_eq!(one(&mut b, "SELECT id FROM t ORDER BY id").await, "1|3|9");
}

#[tokio::test]
async fn a_key_range_stays_empty_while_it_is_locked() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    table(&mut a).await;
    run(&mut b, "SET LOCK_TIMEOUT 100").await;
    let probe = "BEGIN TRAN; IF NOT EXISTS (SELECT 1 FROM t WITH (UPDLOCK, SERIALIZABLE) WHERE id = 7) SELECT 'free'";
    assert_eq!(one(&mut a, probe).await, "free");
    // The same probe by another waits, so only one of two finds the key free.
    assert_eq!(fails(&mut b, probe).await, 1222);
    run(&mut b, "ROLLBACK").await;
    assert_eq!(fails(&mut b, "INSERT t VALUES (7, 'x')").await, 1222);
    run(&mut b, "INSERT t VALUES (8, 'x')").await;
    run(&mut a, "INSERT t VALUES (7, 'mine'); COMMIT").await;
    assert_eq!(fails(&mut b, "INSERT t VALUES (7, 'x')").await, 2627);
    // Without the hints the other may come first.
    assert_eq!(
        one(&mut a, "BEGIN TRAN; IF NOT EXISTS (SELECT 1 FROM t WHERE id = 70) SELECT 'free'")
            .await,
        "free"
    );
    run(&mut b, "INSERT t VALUES (70, 'x')").await;
    assert_eq!(fails(&mut a, "INSERT t VALUES (70, 'mine')").await, 2627);
}

#[tokio::test]
async fn one_of_two_that_wait_for_each_other_is_the_victim() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    table(&mut a).await;
    run(&mut b, "SET DEADLOCK_PRIORITY LOW").await;
    run(&mut a, "BEGIN TRAN; UPDATE t SET v = 'a1' WHERE id = 1").await;
    run(&mut b, "BEGIN TRAN; UPDATE t SET v = 'b2' WHERE id = 2").await;
    let first = tokio::spawn(async move {
        let r = try_run(&mut b, "UPDATE t SET v = 'b1' WHERE id = 1").await;
        (b, r)
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    run(&mut a, "UPDATE t SET v = 'a2' WHERE id = 2").await;
    let (mut b, r) = first.await.unwrap();
    let e = r.unwrap_err();
    assert!(e.is_deadlock(), "{e}");
    assert_eq!(one(&mut b, "SELECT @@TRANCOUNT").await, "0");
    run(&mut a, "COMMIT").await;
    assert_eq!(one(&mut a, "SELECT v FROM t ORDER BY id").await, "a1|a2|c");
}

const LOCK: &str =
    "DECLARE @r int; EXEC @r = sp_getapplock @Resource = N'res', @LockMode = N'Exclusive'";

#[tokio::test]
async fn application_locks_are_granted_refused_waited_for_and_let_go() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    let session = |timeout: u32| {
        format!("{LOCK}, @LockOwner = N'Session', @LockTimeout = {timeout}; SELECT @r")
    };
    assert_eq!(one(&mut a, &session(0)).await, "0");
    assert_eq!(one(&mut a, &session(0)).await, "0", "again by the same session");
    assert_eq!(one(&mut b, &session(0)).await, "-1");
    assert_eq!(one(&mut b, &session(100)).await, "-1");
    assert_eq!(
        one(
            &mut b,
            &LOCK.replace("N'res'", "N'RES'").replace(
                "'Exclusive'",
                "'Exclusive', @LockOwner = 'Session', @LockTimeout = 0; SELECT @r"
            )
        )
        .await,
        "0",
        "resources differ by case"
    );
    assert_eq!(one(&mut b, "SELECT APPLOCK_TEST('public', 'res', 'Exclusive', 'Session'), APPLOCK_TEST('public', 'other', 'Shared', 'Session')").await, "0,1");
    let release = "DECLARE @r int; EXEC @r = sp_releaseapplock @Resource = 'res', @LockOwner = 'Session'; SELECT @r";
    assert_eq!(one(&mut a, release).await, "0");
    assert_eq!(one(&mut b, &session(0)).await, "-1", "taken twice, let go once");
    let waiting = tokio::spawn(async move {
        let r = one(&mut b, &session(5000)).await;
        (b, r)
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(one(&mut a, release).await, "0");
    let (b, r) = waiting.await.unwrap();
    assert_eq!(r, "1", "granted after waiting");
    // A session that ends lets go; a transaction's lock ends with it.
    b.close().await.unwrap();
    let transaction =
        format!("BEGIN TRAN; {LOCK}, @LockTimeout = 3000; SELECT CASE WHEN @r >= 0 THEN 1 END");
    assert_eq!(one(&mut a, &transaction).await, "1");
    let mut c = connect(&server).await;
    assert_eq!(one(&mut c, &session(0)).await, "-1");
    run(&mut a, "ROLLBACK").await;
    assert_eq!(one(&mut c, &session(0)).await, "0");
    // A bad call raises nothing that stops, and answers -999.
    let e = try_run(&mut c, "DECLARE @r int; EXEC @r = sp_getapplock @Resource = 'x', @LockMode = 'Wild', @LockOwner = 'Session'; IF @r = -999 THROW 60000, 'bad call', 1").await.unwrap_err();
    assert_eq!(e.code(), Some(15_625));
}

#[tokio::test]
async fn a_batch_runs_to_its_end_after_its_client_has_vanished() {
    let server = server();
    let mut a = connect(&server).await;
    table(&mut a).await;
    for (batch, expected) in [
        (
            "BEGIN TRAN; UPDATE t SET v = 'one' WHERE id = 1; WAITFOR DELAY '00:00:00.300'; COMMIT",
            "one",
        ),
        ("BEGIN TRAN; UPDATE t SET v = 'two' WHERE id = 1; WAITFOR DELAY '00:00:00.300';", "one"),
    ] {
        let mut b = connect(&server).await;
        let asked = b.simple_query(batch);
        assert!(tokio::time::timeout(Duration::from_millis(100), asked).await.is_err());
        drop(b);
        // The reader waits for the lock, so for the end of the batch and of its session.
        assert_eq!(one(&mut a, "SELECT v FROM t WHERE id = 1").await, expected);
    }
}

#[tokio::test]
async fn two_that_create_the_same_thing_at_once_do_not_collide() {
    let server = server();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let config = super::client::config(&server);
            tokio::spawn(async move {
                let mut c = super::client::connect_with(config).await.unwrap();
                run(&mut c, "SET XACT_ABORT ON; BEGIN TRAN; DECLARE @r int; EXEC @r = sp_getapplock 'ddl', 'Exclusive'; IF OBJECT_ID('dbo.once') IS NULL CREATE TABLE dbo.once (a int); COMMIT").await;
            })
        })
        .collect();
    for t in tasks {
        t.await.unwrap();
    }
    let mut c = connect(&server).await;
    // Names in doubt make the others wait.
    let mut d = connect(&server).await;
    run(&mut c, "BEGIN TRAN; CREATE TABLE dbo.maybe (a int)").await;
    assert_eq!(fails(&mut d, "SET LOCK_TIMEOUT 50; SELECT OBJECT_ID('dbo.maybe')").await, 1222);
    run(&mut c, "ROLLBACK").await;
    assert_eq!(one(&mut d, "SELECT OBJECT_ID('dbo.maybe')").await, "NULL");
}
