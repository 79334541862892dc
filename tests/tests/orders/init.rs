//! `mssql-init`.

use std::process::Stdio;

use etl_tests::wire::{Protocol, Proxy, Rules};

use super::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn four_preparations_at_once_and_one_more_leave_the_same_state() {
    let shop = Shop::unprepared(10, "upsert").await;
    let running: Vec<_> = (0..4)
        .map(|_| {
            let mut command = shop.init_command();
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    shop.init().expect(0);
    shop.job("check", &[]).expect(0);
    let state = "SELECT (SELECT COUNT_BIG(*) FROM [etl].[schema_version]) * 10 + (SELECT COUNT_BIG(*) FROM [etl].[checkpoint]);";
    assert_eq!(shop.target.number(state).await, 31);
    shop.run();
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_and_run_again_it_ends_in_the_same_state() {
    let shop = Shop::unprepared(10, "upsert").await;
    for pause in [5, 20, 40, 60, 90, 130, 200] {
        let mut command = shop.init_command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    shop.init().expect(0);
    shop.job("check", &[]).expect(0);
    shop.run();
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_given_to_the_login() {
    let mut shop = Shop::open(10, "upsert").await;
    let (host, port) = (shop.target.owner.host.clone(), shop.target.owner.port);
    let old = shop.url_at(&host, port);
    shop.password = "Rotated-pass-2'y".to_owned();
    shop.job("run", &["--json"]).expect(77);
    shop.init().expect(0);
    shop.run();
    shop.assert_equal().await;
    shop.job_to(&old, "run", &["--json"]).expect(77);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_may_not_be_run_is_told_by_number_and_name() {
    let (poor, shop) = (Shop::open(10, "upsert").await, Shop::unprepared(10, "upsert").await);
    let url = poor.url_at(&poor.target.owner.host, poor.target.owner.port);
    let mut command = shop.init_command();
    command.env("MSSQL_ADMIN_URL", url);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("step 3 of 21, create login"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_later_is_waited_for() {
    let mut shop = Shop::unprepared(10, "upsert").await;
    shop.file["target"]["tls"] = "disable".into();
    shop.write();
    let owner = shop.target.owner.clone();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut target = shop.target.clone();
    (target.owner.host, target.owner.port) = ("127.0.0.1".to_owned(), port);
    let password = secrecy::ExposeSecret::expose_secret(&owner.password);
    let mut command = shop.init_command();
    command.env("MSSQL_ADMIN_URL", target.url(&owner.user, password));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let server = format!("{}:{}", owner.host, owner.port);
    let _proxy = Proxy::start_at(port, Protocol::Tds, &server, Rules::default()).await;
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("waiting for the server"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_every_statement_and_changes_nothing() {
    let shop = Shop::unprepared(10, "upsert").await;
    let mut command = shop.init_command();
    let output = command.arg("--dry-run").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    for part in ["CREATE TABLE [dbo].[orders]", "[customer] nvarchar(120) NOT NULL", "GRANT SELECT"]
    {
        assert!(text.contains(part), "{part} in: {text}");
    }
    assert!(!text.contains("Job-pass"), "a password in: {text}");
    let there = "SELECT COUNT_BIG(*) FROM sys.tables WHERE [name] = N'orders';";
    assert_eq!(shop.target.number(there).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_fit_and_a_wrong_administrator_are_refused() {
    let shop = Shop::unprepared(10, "upsert").await;
    // The target is there already, with another type.
    shop.target.run("CREATE TABLE [dbo].[orders] ([id] int NOT NULL PRIMARY KEY);").await;
    let said = shop.init().expect(65);
    assert!(said.stderr.contains("column id is int, the stream needs bigint"), "{}", said.stderr);
    // The administrator's login is not the job's.
    let owner = &shop.target.owner;
    let password = secrecy::ExposeSecret::expose_secret(&owner.password);
    let mut command = shop.init_command();
    command.env("MSSQL_URL", shop.target.url(&owner.user, password));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    // Nobody to ask.
    let mut command = shop.init_command();
    command.env_remove("MSSQL_ADMIN_URL");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MSSQL_ADMIN_URL"));
}
