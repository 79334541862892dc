//! Lengths at which the way to SQL Server changes. Every type, value by value, is in `types`.

use etl_core::Pipeline;
use etl_core::connector::Stream;
use etl_core::pipeline::PipelineOptions;
use etl_tests::{mssql, postgres};
use serde_json::json;
use tokio_util::sync::CancellationToken;

async fn carried(columns: &[&str], target: &mssql::Database, source: &postgres::Database) {
    let mut select = vec!["id"];
    select.extend(columns);
    select.push("updated_at");
    let config = json!({
        "object": "dbo.every_type", "primary_key": ["id"], "select": select,
        "cursor": { "column": "updated_at" },
    });
    let stream = Stream {
        pipeline: "types".to_owned(),
        name: "public.every_type".to_owned(),
        config: serde_json::from_value(config).unwrap(),
    };
    let reader =
        (etl_sources::find("postgres").unwrap().build)(&source.section(), &stream).unwrap();
    let connector = etl_sinks::find("mssql").unwrap();
    let schema = reader.schema().await.unwrap();
    (connector.admin)(&target.section(), &stream).unwrap().prepare(&schema).await.unwrap();
    let sink = (connector.build)(&target.section(), &stream).unwrap();
    let options = PipelineOptions::default();
    let mut pipeline = Pipeline::new(stream.full_name(), reader, Vec::new(), sink, options);
    let finished = pipeline.run(&CancellationToken::new()).await;
    assert!(finished.error.is_none(), "{:?}", finished.error);
}

const CURSOR: &str = "updated_at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX ON public.every_type (updated_at);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
    CREATE TRIGGER touch BEFORE UPDATE ON public.every_type
      FOR EACH ROW EXECUTE FUNCTION touch();";

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_binaries_of_any_length_arrive_as_they_were() {
    let (source, target) = (postgres::Database::new().await, mssql::Database::new().await);
    source
        .execute(&format!(
            "CREATE TABLE public.every_type (id bigint PRIMARY KEY, note text, raw bytea, {CURSOR}
             INSERT INTO public.every_type (id, note, raw)
             SELECT n, repeat('é', n), decode(repeat('a7', n), 'hex')
               FROM unnest(ARRAY[0, 1, 2000, 2001, 4000, 4001, 8000, 8001, 32767, 32768, 65535, 65536, 200000]) AS n"
        ))
        .await;
    carried(&["note", "raw"], &target, &source).await;
    let found =
        target.rows("SELECT [id], [note], [raw] FROM [dbo].[every_type] ORDER BY [id];").await;
    assert_eq!(found.len(), 13);
    for row in found {
        let length: usize = row[0].as_deref().unwrap().parse().unwrap();
        assert_eq!(row[1].as_deref(), Some("é".repeat(length).as_str()), "text of {length}");
        assert_eq!(row[2].as_deref(), Some("a7".repeat(length).as_str()), "binary of {length}");
    }
}
