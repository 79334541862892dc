//! A write protocol by lease, stage, compare-and-set, as a loader would send it.

use tiberius::{ColumnData, TokenRow};

use super::client::{Sql, connect, fails, one, run, server};

pub(super) const TABLES: [&str; 4] = [
    "IF SCHEMA_ID(N'load') IS NULL EXEC(N'CREATE SCHEMA [load]');",
    "IF OBJECT_ID(N'[load].[state]') IS NULL
     CREATE TABLE [load].[state] (
       [name]     nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL CONSTRAINT [pk_state] PRIMARY KEY,
       [place]    nvarchar(max) NULL,
       [version]  bigint NOT NULL,
       [owner_id] uniqueidentifier NULL,
       [until]    datetime2(3) NULL,
       [total]    bigint NOT NULL,
       [changed]  datetime2(6) NOT NULL
     );",
    "IF OBJECT_ID(N'[dbo].[goods]') IS NULL
     CREATE TABLE [dbo].[goods] (
       [id] bigint NOT NULL CONSTRAINT [pk_goods] PRIMARY KEY,
       [label] nvarchar(400) NOT NULL,
       [price] decimal(18,2) NOT NULL,
       [note] nvarchar(max) NULL,
       [seen] datetimeoffset(7) NOT NULL
     );",
    "IF NOT EXISTS (SELECT 1 FROM [load].[state] WHERE [name] = N'goods')
     INSERT INTO [load].[state] ([name],[place],[version],[owner_id],[until],[total],[changed])
     VALUES (N'goods', NULL, 0, NULL, NULL, 0, SYSUTCDATETIME());",
];

pub(super) const STAGE: &str = "CREATE TABLE [#batch] (
   [gone] bit NOT NULL,
   [id] bigint NOT NULL,
   [label] nvarchar(400) COLLATE Latin1_General_100_BIN2 NULL,
   [price] decimal(18,2) NULL,
   [note] nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL,
   [seen] datetimeoffset(7) NULL,
   UNIQUE CLUSTERED ([id]));";

const TAKE: &str = "UPDATE [load].[state]
   SET [owner_id] = @P1, [version] = [version] + 1, [until] = DATEADD(second, @P2, SYSUTCDATETIME()), [changed] = SYSUTCDATETIME()
OUTPUT inserted.[version], inserted.[place]
 WHERE [name] = @P3 AND ([until] IS NULL OR [until] < SYSUTCDATETIME() OR [owner_id] = @P1);";

pub(super) const APPLY: &str = "SET XACT_ABORT ON; SET NOCOUNT ON; SET DEADLOCK_PRIORITY LOW;
DECLARE @lock int, @deleted bigint = 0, @updated bigint = 0, @inserted bigint = 0;
BEGIN TRANSACTION;
EXEC @lock = sys.sp_getapplock @Resource = @P1, @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 30000;
IF @lock < 0 THROW 51000, N'the lock was not granted', 1;
UPDATE [load].[state]
   SET [place] = @P2, [version] = [version] + 1, [total] = [total] + @P3, [until] = DATEADD(second, 30, SYSUTCDATETIME()), [changed] = SYSUTCDATETIME()
 WHERE [name] = @P1 AND [version] = @P4 AND [owner_id] = @P5;
IF @@ROWCOUNT <> 1 THROW 51001, N'the state moved', 1;
DELETE t FROM [dbo].[goods] AS t INNER JOIN [#batch] AS s ON t.[id] = s.[id] WHERE s.[gone] = 1;
SET @deleted = @@ROWCOUNT;
UPDATE t SET t.[label] = s.[label], t.[price] = s.[price], t.[note] = s.[note], t.[seen] = s.[seen]
  FROM [dbo].[goods] AS t INNER JOIN [#batch] AS s ON t.[id] = s.[id]
 WHERE s.[gone] = 0 AND (
      (s.[label] COLLATE Latin1_General_100_BIN2 <> t.[label] COLLATE Latin1_General_100_BIN2 OR DATALENGTH(s.[label]) <> DATALENGTH(t.[label]))
   OR (s.[price] <> t.[price])
   OR (s.[note] COLLATE Latin1_General_100_BIN2 <> t.[note] COLLATE Latin1_General_100_BIN2 OR DATALENGTH(s.[note]) <> DATALENGTH(t.[note]) OR (s.[note] IS NULL AND t.[note] IS NOT NULL) OR (s.[note] IS NOT NULL AND t.[note] IS NULL))
   OR (s.[seen] <> t.[seen]));
SET @updated = @@ROWCOUNT;
INSERT INTO [dbo].[goods] ([id],[label],[price],[note],[seen])
SELECT s.[id], s.[label], s.[price], s.[note], s.[seen] FROM [#batch] AS s
 WHERE s.[gone] = 0 AND NOT EXISTS (SELECT 1 FROM [dbo].[goods] AS t WITH (UPDLOCK, SERIALIZABLE) WHERE t.[id] = s.[id]);
SET @inserted = @@ROWCOUNT;
COMMIT TRANSACTION;
SELECT @deleted AS [deleted], @updated AS [updated], @inserted AS [inserted];";

pub(super) async fn init(c: &mut Sql) {
    for t in TABLES {
        run(c, t).await;
    }
}

/// The version and place of a claim; `None` when another holds it.
pub(super) async fn take(
    c: &mut Sql,
    owner: uuid::Uuid,
    seconds: i32,
) -> Option<(i64, Option<String>)> {
    let rows = c
        .query(TAKE, &[&owner, &seconds, &"goods"])
        .await
        .unwrap()
        .into_first_result()
        .await
        .unwrap();
    rows.first().map(|r| (r.get::<i64, _>(0).unwrap(), r.get::<&str, _>(1).map(ToOwned::to_owned)))
}

pub(super) struct Goods {
    pub(super) gone: bool,
    pub(super) id: i64,
    pub(super) label: Option<&'static str>,
    pub(super) price: i128,
    pub(super) note: Option<&'static str>,
}

pub(super) fn good(id: i64, label: &'static str) -> Goods {
    Goods { gone: false, id, label: Some(label), price: 1234, note: None }
}

pub(super) async fn stage(c: &mut Sql, rows: &[Goods]) -> tiberius::Result<u64> {
    run(c, "DELETE FROM [#batch];").await;
    let mut bulk = c.bulk_insert("[#batch]").await?;
    for g in rows {
        let mut row = TokenRow::new();
        row.push(ColumnData::Bit(Some(g.gone)));
        row.push(ColumnData::I64(Some(g.id)));
        row.push(ColumnData::String(g.label.map(Into::into)));
        row.push(ColumnData::Numeric(Some(tiberius::numeric::Numeric::new_with_scale(g.price, 2))));
        row.push(ColumnData::String(g.note.map(Into::into)));
        let time = tiberius::time::Time::new(120_000_000, 7);
        let at = tiberius::time::DateTime2::new(tiberius::time::Date::new(738_000), time);
        row.push(ColumnData::DateTimeOffset(Some(tiberius::time::DateTimeOffset::new(at, 60))));
        bulk.send(row).await?;
    }
    Ok(bulk.finalize().await?.total())
}

pub(super) async fn apply(
    c: &mut Sql,
    owner: uuid::Uuid,
    place: &str,
    version: i64,
) -> tiberius::Result<(i64, i64, i64)> {
    let rows =
        c.query(APPLY, &[&"goods", &place, &3_i64, &version, &owner]).await?.into_results().await?;
    let r = &rows.last().unwrap()[0];
    Ok((r.get(0).unwrap(), r.get(1).unwrap(), r.get(2).unwrap()))
}

#[tokio::test]
async fn a_whole_run_claims_stages_commits_and_is_fenced() {
    let server = server();
    let mut a = connect(&server).await;
    init(&mut a).await;
    init(&mut a).await;
    let (me, other) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    assert_eq!(take(&mut a, me, 30).await, Some((1, None)));
    assert_eq!(take(&mut a, other, 30).await, None, "the lease lives");
    assert_eq!(take(&mut a, me, 30).await, Some((2, None)), "ours again after a lost answer");
    run(&mut a, STAGE).await;
    assert_eq!(
        stage(&mut a, &[good(1, "one"), good(2, "two"), good(3, "drei  ")]).await.unwrap(),
        3
    );
    assert_eq!(one(&mut a, "SELECT COUNT_BIG(*) FROM [#batch]").await, "3");
    assert_eq!(apply(&mut a, me, "p1", 2).await.unwrap(), (0, 0, 3));
    assert_eq!(
        one(
            &mut a,
            "SELECT id, label, price, note, CONVERT(nvarchar(40), seen) FROM goods ORDER BY id"
        )
        .await,
        "1,one,12.34,NULL,2021-07-30 01:00:12.0000000 +01:00|2,two,12.34,NULL,2021-07-30 01:00:12.0000000 +01:00|3,drei  ,12.34,NULL,2021-07-30 01:00:12.0000000 +01:00"
    );
    // The same batch again changes nothing.
    assert_eq!(apply(&mut a, me, "p2", 3).await.unwrap(), (0, 0, 0));
    // A change of case only and of a trailing blank only are seen; an equal row is left alone.
    stage(&mut a, &[good(1, "ONE"), good(2, "two"), good(3, "drei ")]).await.unwrap();
    assert_eq!(apply(&mut a, me, "p3", 4).await.unwrap(), (0, 2, 0));
    // Deletes.
    stage(
        &mut a,
        &[
            Goods { gone: true, ..good(1, "x") },
            Goods { note: Some("n"), ..good(2, "two") },
            good(9, "new"),
        ],
    )
    .await
    .unwrap();
    assert_eq!(apply(&mut a, me, "p4", 5).await.unwrap(), (1, 1, 1));
    // Stale.
    let e = apply(&mut a, me, "p5", 5).await.unwrap_err();
    assert_eq!(e.code(), Some(51001));
    assert_eq!(
        one(&mut a, "SELECT @@TRANCOUNT, place, version, total FROM load.state").await,
        "0,p4,6,12"
    );
    // Two rows for one key.
    let e = stage(&mut a, &[good(1, "a"), good(1, "b")]).await.unwrap_err();
    assert_eq!(e.code(), Some(2627));
    assert_eq!(one(&mut a, "SELECT COUNT(*) FROM [#batch]").await, "0");
    // A taken-over run is fenced.
    run(&mut a, "UPDATE load.state SET until = DATEADD(second, -1, SYSUTCDATETIME())").await;
    let mut b = connect(&server).await;
    assert_eq!(take(&mut b, other, 30).await, Some((7, Some("p4".to_owned()))));
    assert_eq!(apply(&mut a, me, "p6", 6).await.unwrap_err().code(), Some(51001));
    assert_eq!(fails(&mut b, "SELECT * FROM [#batch]").await, 208);
}
