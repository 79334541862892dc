//! Rowversions, periods, snapshots: what the server fills and what a reader sees of it.

use etl_tests::tds::{Options, Server};

use super::client::{connect, connect_as, fails, one, run, server};

const NUMBER: &str = "SELECT CONVERT(bigint, rv) FROM v ORDER BY id";
const LEAST: &str = "SELECT CONVERT(bigint, MIN_ACTIVE_ROWVERSION())";
const LAST: &str = "SELECT CONVERT(bigint, @@DBTS)";

#[tokio::test]
async fn each_insert_and_update_takes_the_next_number_and_none_is_given_back() {
    let server = server();
    let mut c = connect(&server).await;
    assert_eq!(one(&mut c, LAST).await, "2000");
    run(&mut c, "CREATE TABLE v (id int PRIMARY KEY, note varchar(9), rv rowversion)").await;
    run(&mut c, "INSERT v (id, note) VALUES (1, 'a'), (2, 'b')").await;
    assert_eq!(one(&mut c, NUMBER).await, "2001|2002");
    run(&mut c, "UPDATE v SET note = note WHERE id = 1").await;
    assert_eq!(one(&mut c, NUMBER).await, "2003|2002");
    run(&mut c, "BEGIN TRAN; UPDATE v SET note = 'x'; ROLLBACK").await;
    assert_eq!(one(&mut c, NUMBER).await, "2003|2002");
    assert_eq!(one(&mut c, LAST).await, "2005");
    run(&mut c, "INSERT v (id) VALUES (3)").await;
    assert_eq!(one(&mut c, NUMBER).await, "2003|2002|2006");
    assert_eq!(one(&mut c, "SELECT id FROM v WHERE rv > 0x00000000000007D3").await, "3");
    assert_eq!(fails(&mut c, "INSERT v (id, rv) VALUES (9, 0x01)").await, 273);
    assert_eq!(fails(&mut c, "UPDATE v SET rv = 0x01").await, 272);
    assert_eq!(fails(&mut c, "CREATE TABLE w (a rowversion, b timestamp)").await, 2738);
    let shape = "SELECT t.name, c.max_length, c.is_nullable FROM sys.columns c \
         JOIN sys.types t ON t.user_type_id = c.user_type_id WHERE c.name = 'rv'";
    assert_eq!(one(&mut c, shape).await, "timestamp,8,false");
}

#[tokio::test]
async fn the_least_active_rowversion_is_that_of_the_oldest_writer_or_the_next() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    run(&mut a, "CREATE TABLE v (id int PRIMARY KEY, rv rowversion)").await;
    assert_eq!(one(&mut b, LEAST).await, "2001");
    run(&mut a, "BEGIN TRAN; SELECT 1").await;
    assert_eq!(one(&mut b, LEAST).await, "2001", "a transaction that wrote nothing holds nothing");
    run(&mut a, "INSERT v (id) VALUES (1)").await;
    run(&mut b, "INSERT v (id) VALUES (2)").await;
    assert_eq!(one(&mut b, LEAST).await, "2001");
    assert_eq!(one(&mut b, LAST).await, "2002");
    run(&mut a, "COMMIT").await;
    assert_eq!(one(&mut b, LEAST).await, "2003");
    run(&mut a, "BEGIN TRAN; UPDATE v SET id = id WHERE id = 1; ROLLBACK").await;
    assert_eq!(one(&mut b, LEAST).await, "2004", "a number rolled back is not active");
    run(&mut b, "CREATE DATABASE other").await;
    assert_eq!(one(&mut b, "USE other; SELECT CONVERT(bigint, @@DBTS)").await, "2000");
}

#[tokio::test]
async fn numbers_go_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(directory.path().join("data")), ..Options::default() };
    let first = Server::start(options()).unwrap();
    let mut c = connect(&first).await;
    run(&mut c, "CREATE TABLE v (id int PRIMARY KEY, rv rowversion)").await;
    run(&mut c, "INSERT v (id) VALUES (1), (2)").await;
    drop(c);
    drop(first);
    let again = Server::start(options()).unwrap();
    let mut c = connect(&again).await;
    run(&mut c, "INSERT v (id) VALUES (3)").await;
    assert_eq!(one(&mut c, NUMBER).await, "2001|2002|2003");
}

#[tokio::test]
async fn a_period_begins_when_the_transaction_did() {
    let server = server();
    let mut c = connect(&server).await;
    run(
        &mut c,
        "CREATE TABLE p (id int PRIMARY KEY, a datetime2(3) GENERATED ALWAYS AS ROW START NOT NULL, \
         b datetime2(3) GENERATED ALWAYS AS ROW END NOT NULL, PERIOD FOR SYSTEM_TIME (a, b))",
    )
    .await;
    run(&mut c, "BEGIN TRAN; INSERT p (id) VALUES (1); WAITFOR DELAY '00:00:00.050'").await;
    run(&mut c, "INSERT p (id) VALUES (2); UPDATE p SET id = 3 WHERE id = 1; COMMIT").await;
    let same = "SELECT COUNT(DISTINCT a), MAX(CONVERT(varchar(23), b, 126)) FROM p";
    assert_eq!(one(&mut c, same).await, "1,9999-12-31T23:59:59.999");
    assert_eq!(fails(&mut c, "UPDATE p SET a = SYSUTCDATETIME()").await, 13_537);
    assert_eq!(fails(&mut c, "INSERT p (id, b) VALUES (9, SYSUTCDATETIME())").await, 13_536);
    let always = "SELECT generated_always_type FROM sys.columns \
         WHERE object_id = OBJECT_ID(N'p') ORDER BY column_id";
    assert_eq!(one(&mut c, always).await, "0|1|2");
}

#[tokio::test]
async fn a_snapshot_waits_for_nobody_where_the_database_allows_it() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    run(&mut a, "CREATE TABLE v (id int PRIMARY KEY, rv rowversion)").await;
    run(&mut a, "INSERT v (id) VALUES (1)").await;
    run(&mut a, "BEGIN TRAN; INSERT v (id) VALUES (2); UPDATE v SET id = 9 WHERE id = 1").await;
    run(&mut b, "SET LOCK_TIMEOUT 0; SET TRANSACTION ISOLATION LEVEL SNAPSHOT").await;
    assert_eq!(fails(&mut b, "SELECT id FROM v").await, 3952);
    run(&mut a, "COMMIT; ALTER DATABASE test SET ALLOW_SNAPSHOT_ISOLATION ON").await;
    run(&mut a, "BEGIN TRAN; INSERT v (id) VALUES (3); UPDATE v SET id = 1 WHERE id = 9").await;
    assert_eq!(one(&mut b, "SELECT id FROM v ORDER BY id").await, "2|9");
    run(&mut a, "COMMIT").await;
    assert_eq!(one(&mut b, "SELECT id FROM v ORDER BY id").await, "1|2|3");
}

#[tokio::test]
async fn open_transactions_are_listed_for_those_who_may_see_them() {
    let server = server();
    let (mut a, mut b) = (connect(&server).await, connect(&server).await);
    run(&mut a, "CREATE LOGIN blind WITH PASSWORD = N'Str0ng!Passw0rd'").await;
    run(&mut a, "CREATE USER blind FOR LOGIN blind").await;
    run(&mut a, "BEGIN TRAN; SELECT 1; WAITFOR DELAY '00:00:00.020'").await;
    let open = "SELECT COUNT(*) FROM sys.dm_tran_database_transactions d \
         JOIN sys.dm_tran_active_transactions t ON t.transaction_id = d.transaction_id \
         WHERE d.database_id = DB_ID() AND t.transaction_begin_time < DATEADD(millisecond, -10, GETDATE())";
    assert_eq!(one(&mut b, open).await, "1");
    run(&mut a, "COMMIT").await;
    assert_eq!(one(&mut b, open).await, "0");
    let mut blind = connect_as(&server, "blind", "Str0ng!Passw0rd").await;
    assert_eq!(fails(&mut blind, open).await, 300);
}
