//! Logins, users, and what they may do: nothing, unless granted.

use super::client::{config_of, connect, connect_as, connect_with, fails, one, run, server};

#[tokio::test]
async fn logins_are_checked() {
    let server = server();
    let mut sa = connect(&server).await;
    run(&mut sa, "CREATE LOGIN [etl'r] WITH PASSWORD = N'Pa''ss w0rd!', CHECK_POLICY = ON, DEFAULT_DATABASE = [test]").await;
    assert_eq!(
        fails(&mut sa, "CREATE LOGIN [ETL'R] WITH PASSWORD = N'Pa''ss w0rd!'").await,
        15_025
    );
    assert_eq!(fails(&mut sa, "CREATE LOGIN weak WITH PASSWORD = N'short'").await, 15_118);
    run(&mut sa, "CREATE LOGIN weak WITH PASSWORD = N'short', CHECK_POLICY = OFF").await;
    let port = server.port();
    let code = async |user: &str, password: &str, db: &str| {
        connect_with(config_of(port, user, password, db)).await.err().and_then(|e| e.code())
    };
    assert_eq!(code("sa", "wrong", "test").await, Some(18_456));
    assert_eq!(code("nobody", "x", "test").await, Some(18_456));
    assert_eq!(code("sa", server.sa_password(), "nodb").await, Some(4060));
    assert_eq!(code("etl'r", "Pa'ss w0rd!", "test").await, Some(4060), "no user in the database");
    run(&mut sa, "CREATE USER etl FOR LOGIN [etl'r] WITH DEFAULT_SCHEMA = dbo").await;
    assert_eq!(fails(&mut sa, "CREATE USER etl FOR LOGIN weak").await, 15_023);
    assert_eq!(fails(&mut sa, "CREATE USER other FOR LOGIN [etl'r]").await, 15_063);
    let mut c = connect_as(&server, "etl'r", "Pa'ss w0rd!").await;
    assert_eq!(one(&mut c, "SELECT USER_NAME(), SUSER_SNAME(), IS_SRVROLEMEMBER('sysadmin'), IS_MEMBER('db_owner'), HAS_PERMS_BY_NAME(NULL, NULL, 'CONTROL SERVER')").await, "etl,etl'r,0,0,0");
    run(&mut sa, "ALTER LOGIN [etl'r] WITH PASSWORD = N'An0ther one!'").await;
    assert_eq!(code("etl'r", "Pa'ss w0rd!", "test").await, Some(18_456));
    run(&mut sa, "ALTER LOGIN [etl'r] DISABLE").await;
    assert_eq!(code("etl'r", "An0ther one!", "test").await, Some(18_470));
    assert_eq!(fails(&mut sa, "DROP LOGIN [etl'r]").await, 15_434, "it is logged in");
    drop(c);
    assert!(
        tokio::task::spawn_blocking(move || server.wait_idle(std::time::Duration::from_millis(1)))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn what_is_not_granted_is_denied_and_deny_wins() {
    let server = server();
    let mut sa = connect(&server).await;
    run(&mut sa, "CREATE LOGIN r WITH PASSWORD = 'x', CHECK_POLICY = OFF; CREATE USER r FOR LOGIN r;
        CREATE TABLE dbo.a (id int NOT NULL PRIMARY KEY, v int NULL); CREATE TABLE dbo.b (id int); INSERT a VALUES (1, 1); INSERT b VALUES (1)").await;
    run(&mut sa, "CREATE SCHEMA s").await;
    run(&mut sa, "CREATE TABLE s.c (id int); CREATE ROLE writers; ALTER ROLE writers ADD MEMBER r")
        .await;
    let mut r = connect_as(&server, "r", "x").await;
    for sql in ["SELECT * FROM a", "INSERT a VALUES (2, 2)", "UPDATE a SET v = 2", "DELETE a"] {
        assert_eq!(fails(&mut r, sql).await, 229, "{sql}");
    }
    assert_eq!(
        one(&mut r, "SELECT OBJECT_ID('dbo.a'), COUNT(*) FROM sys.tables").await,
        "NULL,0",
        "not even seen"
    );
    assert_eq!(fails(&mut r, "CREATE TABLE dbo.n (a int)").await, 262);
    assert_eq!(fails(&mut r, "CREATE SCHEMA n").await, 2759);
    assert_eq!(fails(&mut r, "DROP TABLE dbo.a").await, 3701);
    assert_eq!(fails(&mut r, "TRUNCATE TABLE dbo.a").await, 4701);
    assert_eq!(fails(&mut r, "ALTER TABLE dbo.a ADD x int").await, 4902);
    assert_eq!(fails(&mut r, "CREATE LOGIN z WITH PASSWORD = 'Abcdef1!'").await, 15_247);
    assert_eq!(fails(&mut r, "GRANT SELECT ON dbo.a TO r").await, 15_151);
    assert_eq!(fails(&mut r, "EXEC double.fault 'clear'").await, 2812);
    // By object, by role, by schema, by database.
    run(&mut sa, "GRANT UPDATE ON OBJECT::dbo.a TO r").await;
    run(&mut r, "UPDATE a SET v = 5").await;
    assert_eq!(fails(&mut r, "UPDATE a SET v = v + 1").await, 229, "reading a column needs SELECT");
    assert_eq!(fails(&mut r, "UPDATE a SET v = 5 WHERE id = 1").await, 229);
    run(&mut sa, "GRANT SELECT, INSERT, DELETE ON a TO writers").await;
    run(
        &mut r,
        "UPDATE a SET v = v + 1 WHERE id = 1; INSERT a VALUES (2, 2); DELETE a WHERE id = 2",
    )
    .await;
    assert_eq!(fails(&mut r, "UPDATE a SET v = 1 FROM a JOIN b ON b.id = a.id").await, 229);
    run(&mut sa, "GRANT SELECT ON SCHEMA::dbo TO r").await;
    assert_eq!(one(&mut r, "SELECT COUNT(*) FROM b").await, "1");
    assert_eq!(fails(&mut r, "SELECT COUNT(*) FROM s.c").await, 229);
    run(&mut sa, "DENY SELECT ON OBJECT::dbo.b TO writers").await;
    assert_eq!(fails(&mut r, "SELECT COUNT(*) FROM b").await, 229);
    run(&mut sa, "REVOKE SELECT ON OBJECT::dbo.b TO writers").await;
    assert_eq!(one(&mut r, "SELECT COUNT(*) FROM b").await, "1");
    assert_eq!(one(&mut r, "SELECT HAS_PERMS_BY_NAME('dbo.a', 'OBJECT', 'UPDATE'), HAS_PERMS_BY_NAME('s', 'SCHEMA', 'SELECT'), HAS_PERMS_BY_NAME('test', 'DATABASE', 'CREATE TABLE')").await, "1,0,0");
    // A view by its owner's right; the chain below is not asked.
    run(&mut sa, "CREATE VIEW dbo.w AS SELECT id FROM s.c").await;
    assert_eq!(one(&mut r, "SELECT COUNT(*) FROM dbo.w").await, "0");
    // Temporary tables need nothing.
    run(&mut r, "CREATE TABLE #x (a int); INSERT #x VALUES (1); DROP TABLE #x").await;
    run(&mut sa, "GRANT CREATE TABLE TO r; GRANT ALTER ON SCHEMA::s TO r").await;
    run(&mut r, "CREATE TABLE s.mine (a int)").await;
    assert_eq!(fails(&mut r, "CREATE TABLE dbo.mine (a int)").await, 2760);
    run(&mut sa, "ALTER ROLE db_owner ADD MEMBER r").await;
    run(&mut r, "CREATE TABLE dbo.mine (a int); DROP TABLE s.c").await;
    assert_eq!(one(&mut sa, "SELECT p.permission_name, p.state_desc FROM sys.database_permissions p JOIN sys.database_principals u ON u.principal_id = p.grantee_principal_id WHERE u.name = 'r' ORDER BY 1").await,
        "ALTER,GRANT|CONNECT,GRANT|CREATE TABLE,GRANT|SELECT,GRANT|UPDATE,GRANT");
}

#[tokio::test]
async fn a_server_is_prepared_from_nothing() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, "IF DB_ID(N'dw') IS NULL CREATE DATABASE [dw]").await;
    assert_eq!(fails(&mut c, "BEGIN TRAN; CREATE DATABASE x").await, 226);
    run(&mut c, "ROLLBACK; IF SUSER_ID(N'loader') IS NULL CREATE LOGIN [loader] WITH PASSWORD = N'L0ader-pass', DEFAULT_DATABASE = [dw]").await;
    run(&mut c, "USE [dw]").await;
    assert_eq!(one(&mut c, "SELECT DB_NAME()").await, "dw");
    run(&mut c, "IF SCHEMA_ID(N'etl') IS NULL EXEC(N'CREATE SCHEMA [etl]'); IF DATABASE_PRINCIPAL_ID(N'loader') IS NULL CREATE USER [loader] FOR LOGIN [loader]").await;
    run(&mut c, "CREATE TABLE etl.t (a int); GRANT SELECT, INSERT ON SCHEMA::[etl] TO [loader]")
        .await;
    let mut l = connect_with(config_of(server.port(), "loader", "L0ader-pass", "")).await.unwrap();
    run(&mut l, "INSERT etl.t VALUES (1)").await;
    assert_eq!(fails(&mut l, "USE test").await, 916);
    assert_eq!(fails(&mut l, "SELECT * FROM test.sys.tables").await, 916);
    assert_eq!(fails(&mut c, "DROP DATABASE dw").await, 3702);
    run(&mut c, "USE master").await;
    assert_eq!(one(&mut c, "SELECT a FROM dw.etl.t").await, "1");
    assert_eq!(one(&mut c, "SELECT name, collation_name FROM sys.databases WHERE name IN ('dw', 'tempdb') ORDER BY name").await,
        "dw,SQL_Latin1_General_CP1_CI_AS|tempdb,Latin1_General_CI_AS");
}
