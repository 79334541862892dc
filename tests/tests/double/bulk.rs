//! Bulk loads: every type and scale there and back, and what the server refuses.

use tiberius::numeric::Numeric;
use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, Time};
use tiberius::{ColumnData, SqlBulkCopyOption, TokenRow};

use super::client::{Sql, connect, fails, one, run, server};

/// Loads the values into a column of the type, NULL and NOT NULL, and reads them back.
async fn round_trip(c: &mut Sql, ty: &str, values: &[ColumnData<'static>]) {
    for null in ["NULL", "NOT NULL"] {
        run(
            c,
            &format!("DROP TABLE IF EXISTS #b; CREATE TABLE #b (n int NOT NULL, v {ty} {null});"),
        )
        .await;
        let kept: Vec<_> =
            values.iter().filter(|v| null == "NULL" || !is_null(v)).cloned().collect();
        let mut bulk = c.bulk_insert("#b").await.unwrap();
        for (n, v) in (0_i32..).zip(&kept) {
            let mut row = TokenRow::new();
            row.push(ColumnData::I32(Some(n)));
            row.push(v.clone());
            bulk.send(row).await.unwrap_or_else(|e| panic!("{ty} {null}: {e}"));
        }
        let total = bulk.finalize().await.unwrap_or_else(|e| panic!("{ty} {null}: {e}")).total();
        assert_eq!(total, u64::try_from(kept.len()).unwrap());
        let rows = c
            .simple_query("SELECT v FROM #b ORDER BY n")
            .await
            .unwrap()
            .into_first_result()
            .await
            .unwrap();
        let back: Vec<ColumnData<'static>> =
            rows.into_iter().map(|r| r.into_iter().next().unwrap()).collect();
        assert_eq!(back, kept, "{ty} {null}");
    }
}

fn is_null(v: &ColumnData<'_>) -> bool {
    super::client::text(v) == "NULL" || format!("{v:?}").ends_with("(None)")
}

fn s(text: &str) -> ColumnData<'static> {
    ColumnData::String(Some(text.to_owned().into()))
}

fn bin(bytes: Vec<u8>) -> ColumnData<'static> {
    ColumnData::Binary(Some(bytes.into()))
}

#[tokio::test]
async fn every_type_and_scale_comes_back_as_it_was_loaded() {
    let server = server();
    let mut c = connect(&server).await;
    let c = &mut c;
    round_trip(
        c,
        "bit",
        &[ColumnData::Bit(Some(true)), ColumnData::Bit(None), ColumnData::Bit(Some(false))],
    )
    .await;
    round_trip(
        c,
        "tinyint",
        &[ColumnData::U8(Some(0)), ColumnData::U8(None), ColumnData::U8(Some(255))],
    )
    .await;
    round_trip(
        c,
        "smallint",
        &[ColumnData::I16(Some(i16::MIN)), ColumnData::I16(None), ColumnData::I16(Some(i16::MAX))],
    )
    .await;
    round_trip(
        c,
        "int",
        &[ColumnData::I32(Some(i32::MIN)), ColumnData::I32(None), ColumnData::I32(Some(i32::MAX))],
    )
    .await;
    round_trip(
        c,
        "bigint",
        &[ColumnData::I64(Some(i64::MIN)), ColumnData::I64(None), ColumnData::I64(Some(i64::MAX))],
    )
    .await;
    round_trip(
        c,
        "real",
        &[
            ColumnData::F32(Some(-1.5e30)),
            ColumnData::F32(None),
            ColumnData::F32(Some(f32::MIN_POSITIVE)),
        ],
    )
    .await;
    round_trip(
        c,
        "float",
        &[ColumnData::F64(Some(0.1)), ColumnData::F64(None), ColumnData::F64(Some(f64::MAX))],
    )
    .await;
    for (p, scale) in [
        (1, 0),
        (9, 9),
        (10, 2),
        (18, 2),
        (19, 0),
        (20, 10),
        (28, 4),
        (29, 1),
        (38, 0),
        (38, 19),
        (38, 38),
    ] {
        let most = 10_i128.pow(p) - 1;
        let dec = |n| ColumnData::Numeric(Some(Numeric::new_with_scale(n, scale)));
        round_trip(
            c,
            &format!("decimal({p},{scale})"),
            &[dec(most), dec(-most), dec(0), ColumnData::Numeric(None), dec(5)],
        )
        .await;
    }
    round_trip(
        c,
        "uniqueidentifier",
        &[
            ColumnData::Guid(Some(uuid::Uuid::from_u128(
                0x0123_4567_89ab_cdef_0011_2233_4455_6677,
            ))),
            ColumnData::Guid(None),
        ],
    )
    .await;
    for ty in ["nvarchar(2000)", "nvarchar(max)"] {
        round_trip(
            c,
            ty,
            &[s(""), ColumnData::String(None), s("a  "), s("é\u{0}ß😀"), s(&"😀".repeat(500))],
        )
        .await;
    }
    // The client itself refuses more than 65,535 bytes in a bulk load.
    round_trip(c, "nvarchar(max)", &[s(&"ü".repeat(32_767)), s("")]).await;
    round_trip(
        c,
        "varchar(8000)",
        &[s(""), ColumnData::String(None), s("é €"), s(&"x".repeat(8000))],
    )
    .await;
    round_trip(c, "varchar(max)", &[s(""), ColumnData::String(None), s(&"é".repeat(20_000))]).await;
    round_trip(c, "nchar(4)", &[s("abcd"), ColumnData::String(None)]).await;
    round_trip(c, "char(4)", &[s("abcd"), ColumnData::String(None)]).await;
    round_trip(
        c,
        "varbinary(8000)",
        &[bin(vec![]), ColumnData::Binary(None), bin(vec![0, 255, 0]), bin(vec![7; 8000])],
    )
    .await;
    round_trip(c, "varbinary(max)", &[bin(vec![]), ColumnData::Binary(None), bin(vec![9; 65_535])])
        .await;
    round_trip(c, "binary(3)", &[bin(vec![1, 2, 3]), ColumnData::Binary(None)]).await;
    round_trip(
        c,
        "date",
        &[
            ColumnData::Date(Some(Date::new(0))),
            ColumnData::Date(None),
            ColumnData::Date(Some(Date::new(3_652_058))),
        ],
    )
    .await;
    round_trip(
        c,
        "datetime",
        &[
            ColumnData::DateTime(Some(DateTime::new(-53_690, 0))),
            ColumnData::DateTime(None),
            ColumnData::DateTime(Some(DateTime::new(45_000, 25_919_999))),
        ],
    )
    .await;
    let last = |scale: u8| 86_400 * 10_u64.pow(scale.into()) - 1;
    for scale in 0..=7 {
        let dt = |days, n| {
            ColumnData::DateTime2(Some(DateTime2::new(Date::new(days), Time::new(n, scale))))
        };
        round_trip(
            c,
            &format!("datetime2({scale})"),
            &[
                dt(0, 0),
                ColumnData::DateTime2(None),
                dt(3_652_058, last(scale)),
                dt(738_000, last(scale) / 3),
            ],
        )
        .await;
    }
    let t = |n| ColumnData::Time(Some(Time::new(n, 7)));
    round_trip(c, "time(7)", &[t(0), ColumnData::Time(None), t(last(7)), t(1)]).await;
    let o = |days, n, minutes| {
        ColumnData::DateTimeOffset(Some(DateTimeOffset::new(
            DateTime2::new(Date::new(days), Time::new(n, 7)),
            minutes,
        )))
    };
    round_trip(
        c,
        "datetimeoffset(7)",
        &[
            o(1, 0, 0),
            ColumnData::DateTimeOffset(None),
            o(3_652_057, last(7), -840),
            o(738_000, 1, 840),
        ],
    )
    .await;
}

/// Loads one value and returns the error's number.
async fn refused(c: &mut Sql, table: &str, value: ColumnData<'static>) -> Option<u32> {
    let mut bulk = match c.bulk_insert(table).await {
        Ok(b) => b,
        Err(e) => return e.code(),
    };
    let mut row = TokenRow::new();
    row.push(value);
    bulk.send(row).await.unwrap();
    bulk.finalize().await.err().and_then(|e| e.code())
}

#[tokio::test]
async fn what_the_client_announces_must_be_what_it_sends() {
    let server = server();
    // The client writes these types into INSERT BULK without their scale, and lengths in bytes.
    for ty in ["time(3)", "datetimeoffset(6)", "datetimeoffset(0)", "nvarchar(3000)"] {
        let mut c = connect(&server).await;
        run(&mut c, &format!("CREATE TABLE #b (v {ty} NULL)")).await;
        let null = match ty.split('(').next() {
            Some("time") => ColumnData::Time(None),
            Some("datetimeoffset") => ColumnData::DateTimeOffset(None),
            _ => ColumnData::String(None),
        };
        assert_eq!(refused(&mut c, "#b", null).await, Some(4816), "{ty}");
        // The connection goes on.
        assert_eq!(one(&mut c, "SELECT COUNT(*) FROM #b").await, "0");
    }
    // A nullable smalldatetime is announced as datetime.
    let mut c = connect(&server).await;
    run(&mut c, "CREATE TABLE #b (v smalldatetime NULL)").await;
    assert_eq!(refused(&mut c, "#b", ColumnData::SmallDateTime(None)).await, Some(4816));
    // Floats outside of the documented range are damage to the server.
    run(&mut c, "CREATE TABLE #f (v float NULL)").await;
    for float in [f64::NAN, f64::INFINITY, 5e-324, -f64::MIN_POSITIVE / 2.0] {
        assert!(refused(&mut c, "#f", ColumnData::F64(Some(float))).await.is_some(), "{float:e}");
    }
    // A time at another scale than its column's has another length.
    run(&mut c, "CREATE TABLE #t (v time(7) NULL)").await;
    assert_eq!(refused(&mut c, "#t", ColumnData::Time(Some(Time::new(5, 3)))).await, Some(4815));
}

#[tokio::test]
async fn the_servers_own_rules_hold_for_bulk_rows() {
    let server = server();
    let mut c = connect(&server).await;
    run(&mut c, "CREATE TABLE t (id int IDENTITY NOT NULL PRIMARY KEY, a nvarchar(3) NOT NULL, b int NULL DEFAULT 7, c AS (b + 1), d decimal(5,2) NULL CONSTRAINT ck CHECK (d < 100))").await;
    // Identity and computed columns are left to the server; NULL takes the default unless kept.
    let load = async |c: &mut Sql,
                      a: Option<&'static str>,
                      options: Option<SqlBulkCopyOption>,
                      d: Option<i128>| {
        let mut bulk =
            c.bulk_insert_with_options("t", &["*"], options.into_iter().collect(), &[]).await?;
        let mut row = TokenRow::new();
        row.push(ColumnData::String(a.map(Into::into)));
        row.push(ColumnData::I32(None));
        row.push(ColumnData::Numeric(d.map(|n| Numeric::new_with_scale(n, 2))));
        bulk.send(row).await?;
        bulk.finalize().await.map(tiberius::ExecuteResult::total)
    };
    assert_eq!(load(&mut c, Some("abc"), None, None).await.unwrap(), 1);
    assert_eq!(
        load(&mut c, Some("x"), Some(SqlBulkCopyOption::KeepNulls), Some(99_999)).await.unwrap(),
        1
    );
    assert_eq!(
        one(&mut c, "SELECT id, a, b, c, d FROM t ORDER BY id").await,
        "1,abc,7,8,NULL|2,x,NULL,NULL,999.99"
    );
    // Constraints count only when asked for.
    assert_eq!(
        load(&mut c, Some("y"), Some(SqlBulkCopyOption::CheckConstraints), Some(99_999))
            .await
            .unwrap_err()
            .code(),
        Some(547)
    );
    assert_eq!(load(&mut c, None, None, None).await.unwrap_err().code(), Some(515));
    assert_eq!(
        load(&mut c, Some("x"), None, Some(1_000_000)).await.unwrap_err().code(),
        Some(8115)
    );
    assert_eq!(one(&mut c, "SELECT COUNT(*) FROM t").await, "2");
    // Inside a transaction a load is rolled back with it, and with XACT_ABORT it ends it.
    run(&mut c, "BEGIN TRAN").await;
    load(&mut c, Some("z"), None, None).await.unwrap();
    run(&mut c, "ROLLBACK").await;
    run(&mut c, "SET XACT_ABORT ON; BEGIN TRAN; DELETE t").await;
    assert_eq!(load(&mut c, None, None, None).await.unwrap_err().code(), Some(515));
    assert_eq!(one(&mut c, "SELECT COUNT(*), @@TRANCOUNT FROM t").await, "2,0");
    // Through the transaction requests of the protocol too.
    c.begin_transaction().await.unwrap();
    load(&mut c, Some("tm"), None, None).await.unwrap();
    c.rollback_transaction().await.unwrap();
    c.begin_transaction().await.unwrap();
    load(&mut c, None, None, None).await.unwrap_err();
    assert_eq!(one(&mut c, "SELECT @@TRANCOUNT").await, "0");
    assert_eq!(fails(&mut c, "INSERT BULK t (nothing int)").await, 207);
    assert_eq!(fails(&mut c, "INSERT BULK t (a nvarchar(3)) WITH (WIBBLE)").await, 50001);
}

#[tokio::test]
async fn parameters_of_every_type_arrive_as_they_were_sent() {
    let server = server();
    let mut c = connect(&server).await;
    let long = "ü😀".repeat(3000);
    let bytes = vec![1_u8; 20_000];
    let id = uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
    let row = c
        .query(
            "SELECT @P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, LEN(@P9), DATALENGTH(@P10), @P11, @P12",
            &[
                &1_u8,
                &-2_i16,
                &3_i32,
                &i64::MIN,
                &1.5_f32,
                &0.1_f64,
                &true,
                &"a  ",
                &long.as_str(),
                &bytes.as_slice(),
                &id,
                &Numeric::new_with_scale(-12_345, 3),
            ],
        )
        .await
        .unwrap()
        .into_row()
        .await
        .unwrap()
        .unwrap();
    let shown: Vec<String> = row.into_iter().map(|v| super::client::text(&v)).collect();
    assert_eq!(
        shown,
        [
            "1",
            "-2",
            "3",
            "-9223372036854775808",
            "1.5",
            "0.1",
            "true",
            "a  ",
            "9000",
            "20000",
            "01234567-89ab-cdef-0011-223344556677",
            "-12.345"
        ]
    );
    let row = c
        .query(
            "SELECT COUNT(*) FROM (VALUES (1)) v(x) WHERE @P1 IS NULL AND @P2 IS NULL AND @P3 IS NULL",
            &[&Option::<i64>::None, &Option::<uuid::Uuid>::None, &Option::<bool>::None],
        )
        .await
        .unwrap()
        .into_row()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.get::<i32, _>(0), Some(1));
    assert_eq!(c.execute("CREATE TABLE #x (a int)", &[]).await.unwrap().total(), 0);
    run(&mut c, "CREATE TABLE #y (a int)").await;
    assert_eq!(
        c.execute("INSERT #y VALUES (@P1), (@P2); DELETE #y WHERE a = @P1", &[&1, &2])
            .await
            .unwrap()
            .rows_affected(),
        [2, 1]
    );
}

/// The driver gives a NULL text or binary no type. SQL Server takes that, other servers do not: what is sent must do without.
#[tokio::test]
async fn a_null_without_a_type_is_refused() {
    let server = server();
    let nothings: [&dyn tiberius::ToSql; 2] = [&Option::<&str>::None, &Option::<&[u8]>::None];
    for nothing in nothings {
        let mut c = connect(&server).await;
        let told = c.execute("SELECT @P1", &[nothing]).await.expect_err("refused");
        assert_eq!(told.code(), Some(8009), "{told}");
    }
}

#[tokio::test]
async fn a_query_can_be_cancelled_and_the_connection_used_again() {
    let server = server();
    let mut c = connect(&server).await;
    {
        let asked = c.simple_query("WAITFOR DELAY '00:01:00'; SELECT 1");
        assert!(tokio::time::timeout(std::time::Duration::from_millis(200), asked).await.is_err());
    }
    c.cancel_query().await.unwrap();
    assert_eq!(one(&mut c, "SELECT 2").await, "2");
}
