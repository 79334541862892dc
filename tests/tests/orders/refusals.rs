//! What bad input gets: one clear message, the right exit code, and nothing is lost.

use etl_sql::mssql::{Connection, MssqlConfig};

use super::shop::Shop;

/// Runs and expects a refusal that says all of `words`.
fn refused(shop: &Shop, code: i32, words: &[&str]) {
    let said = shop.job("run", &["--json"]).expect(code);
    for word in words {
        assert!(said.stderr.contains(word), "\"{word}\" in: {}", said.stderr);
    }
    assert!(!said.stderr.contains("Job-pass"), "a password in: {}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_not_prepared_is_refused() {
    let shop = Shop::unprepared(10, "upsert").await;
    let owner = &shop.target.owner;
    let password = secrecy::ExposeSecret::expose_secret(&owner.password);
    let said = shop.job_to(&shop.target.url(&owner.user, password), "run", &["--json"]).expect(64);
    assert!(said.stderr.contains("run mssql-init"), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_at_once() {
    let shop = Shop::open(10, "upsert").await;
    let url = shop.url_at(&shop.target.owner.host, shop.target.owner.port);
    let said = shop.job_to(&url.replace("pass", "path"), "run", &["--json"]).expect(77);
    assert!(said.stderr.contains("18456"), "{}", said.stderr);
    assert!(!said.stderr.contains("Job-path"), "a password in: {}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_another_shape_is_refused_with_every_column_that_differs() {
    let shop = Shop::open(10, "upsert").await;
    shop.target
        .run(
            "ALTER TABLE [dbo].[orders] DROP COLUMN [currency];
             ALTER TABLE [dbo].[orders] ALTER COLUMN [amount] decimal(18,1);
             ALTER TABLE [dbo].[orders] ADD [extra] int NOT NULL;",
        )
        .await;
    refused(
        &shop,
        65,
        &[
            "column amount is decimal(18,1)",
            "column currency (nvarchar(6)) is missing",
            "column extra is NOT NULL",
            "Nothing was written",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_is_told_by_column_and_key_and_nothing_is_written() {
    let mut shop = Shop::unprepared(10, "upsert").await;
    shop.stream(|stream| stream["columns"] = serde_json::json!({ "note": "varchar(100)" }));
    shop.init().expect(0);
    shop.source
        .execute(
            "UPDATE public.orders SET note = repeat('x', 101), status = 'confirmed' WHERE id = 7",
        )
        .await;
    refused(&shop, 65, &["column note", "id=7", "101 characters"]);
    assert!(shop.found().await.is_empty());
    shop.source.execute("UPDATE public.orders SET note = 'fits' WHERE id = 7").await;
    shop.run();
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_listed_by_check() {
    let shop = Shop::open(10, "upsert").await;
    shop.target.run("REVOKE UPDATE ON OBJECT::[dbo].[orders] FROM [etl_writer];").await;
    let said = shop.job("check", &[]).expect(77);
    let text = format!("{}{}", said.stdout, said.stderr);
    assert!(text.contains("UPDATE on [dbo].[orders]"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_tried_until_the_deadline() {
    let shop = Shop::open(10, "upsert").await;
    let url = shop.url_at("127.0.0.1", 9);
    let said = shop.job_to(&url, "run", &["--json", "--deadline", "1s"]).expect(75);
    assert!(said.stderr.contains("connecting to SQL Server 127.0.0.1:9"), "{}", said.stderr);
}

/// What the job's login must not be able to do; `{login}` is its name.
const FORBIDDEN: &[&str] = &[
    "CREATE TABLE [dbo].[mine] ([a] int NOT NULL);",
    "EXEC(N'CREATE VIEW [dbo].[mine] AS SELECT 1 AS [a]');",
    "EXEC(N'CREATE SCHEMA [mine]');",
    "CREATE INDEX [mine] ON [dbo].[orders] ([customer]);",
    "ALTER TABLE [dbo].[orders] ADD [x] int NULL;",
    "ALTER TABLE [dbo].[orders] DROP COLUMN [note];",
    "DROP TABLE [dbo].[orders];",
    "DROP TABLE [dbo].[secret];",
    "TRUNCATE TABLE [dbo].[orders];",
    "SELECT [a] FROM [dbo].[secret];",
    "INSERT INTO [dbo].[secret] ([a]) VALUES (1);",
    "UPDATE [dbo].[secret] SET [a] = 1;",
    "DELETE FROM [dbo].[secret];",
    "DELETE FROM [etl].[checkpoint];",
    "INSERT INTO [etl].[checkpoint] SELECT * FROM [etl].[checkpoint];",
    "DELETE FROM [etl].[run];",
    "UPDATE [etl].[schema_version] SET [version] = 9;",
    "INSERT INTO [etl].[schema_version] ([version], [name], [checksum], [applied_at]) VALUES (9, N'x', N'x', SYSUTCDATETIME());",
    "GRANT SELECT ON OBJECT::[dbo].[secret] TO [etl_writer];",
    "ALTER ROLE [db_owner] ADD MEMBER [{login}];",
    "CREATE ROLE [mine];",
    "CREATE USER [mine] WITHOUT LOGIN;",
    "CREATE LOGIN [intruder] WITH PASSWORD = N'Intruder-1';",
    "ALTER LOGIN [sa] WITH PASSWORD = N'Intruder-1';",
    "ALTER SERVER ROLE [sysadmin] ADD MEMBER [{login}];",
    "CREATE DATABASE [mine];",
];

/// What the double does not know; a real server refuses it by the right that is missing.
const FORBIDDEN_ELSEWHERE: &[&str] = &[
    "EXEC sys.xp_cmdshell N'id';",
    "EXEC sys.sp_configure N'xp_cmdshell', 1;",
    "KILL 51;",
    "BACKUP DATABASE [master] TO DISK = N'x';",
    "EXECUTE AS LOGIN = N'sa';",
    "DBCC FREEPROCCACHE;",
    "SELECT * FROM OPENROWSET(BULK N'/etc/passwd', SINGLE_CLOB) AS [x];",
];

/// Numbers that say that a right is missing; some do so by not finding the object.
const DENIED: &[&str] = &[
    "229", "230", "262", "297", "300", "916", "1088", "1917", "2759", "2760", "3701", "3704",
    "4604", "4613", "4701", "4902", "15007", "15151", "15247",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_login_can_do_nothing_but_its_job() {
    let shop = Shop::open(10, "upsert").await;
    shop.target.run("CREATE TABLE [dbo].[secret] ([a] int NOT NULL);").await;
    let url = shop.url_at(&shop.target.owner.host, shop.target.owner.port);
    let mut job = MssqlConfig::from_url(&url.into()).unwrap();
    job.tls = shop.target.owner.tls;
    let code = async |config: &MssqlConfig, sql: &str| {
        let mut connection = Connection::open(config).await.unwrap();
        let sql = sql.replace("{login}", &shop.login);
        let done = connection.batch(&sql, "a forbidden statement").await;
        done.err().map(|error| error.code().unwrap_or_default().to_owned())
    };
    assert!(FORBIDDEN.len() >= 20);
    let mut wrong = Vec::new();
    for sql in FORBIDDEN {
        let told = code(&job, sql).await;
        if !told.as_deref().is_some_and(|code| DENIED.contains(&code)) {
            wrong.push(format!("{sql} {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "not refused for a right: {wrong:#?}");
    for sql in FORBIDDEN_ELSEWHERE {
        assert!(code(&job, sql).await.is_some(), "{sql}");
    }
    // Control: whoever owns the database is told nothing of the kind.
    for sql in FORBIDDEN.iter().filter(|sql| !sql.contains("LOGIN") && !sql.contains("DATABASE")) {
        let told = code(&shop.target.owner, &format!("BEGIN TRANSACTION; {sql} ROLLBACK;")).await;
        assert!(!told.as_deref().is_some_and(|code| DENIED.contains(&code)), "{sql}: {told:?}");
    }
    shop.run();
    shop.assert_equal().await;
}
