//! What is done to the table that is read, in Postgres.

use etl_core::Class::{Config, Permission, Schema};

use super::Fate::{Emptied, GoesOn, Stops};
use super::{Change, Step};

const REFRESH: &[Step] = &[Step::Refresh];
const ADOPT: &[Step] = &[Step::Adopt];

const fn harmless(what: &'static str, sql: &'static str) -> Change {
    Change { what, mode: "append", sql: [sql, sql], fate: GoesOn, undo: ["", ""], then: &[] }
}

pub(super) const CHANGES: &[Change] = &[
    harmless("a column is added", "ALTER TABLE public.orders ADD extra int"),
    harmless(
        "a column that must not be NULL is added",
        "ALTER TABLE public.orders ADD extra int NOT NULL DEFAULT 7",
    ),
    harmless("a column that is not read is dropped", "ALTER TABLE public.orders DROP memo"),
    harmless("a check is added", "ALTER TABLE public.orders ADD CHECK (id > 0)"),
    harmless("a unique index is added", "CREATE UNIQUE INDEX ON public.orders (memo, id)"),
    harmless("the cursor's index is dropped", "DROP INDEX public.orders_updated_at_id_idx"),
    Change { fate: Emptied, ..harmless("the table is emptied", "TRUNCATE public.orders") },
    Change {
        what: "a column is dropped",
        mode: "upsert",
        sql: ["ALTER TABLE public.orders DROP note"; 2],
        fate: Stops(Schema, &["column note", "gone"]),
        undo: ["ALTER TABLE public.orders ADD note varchar(40)"; 2],
        then: REFRESH,
    },
    Change {
        what: "a column is dropped and added anew",
        mode: "upsert",
        sql: ["ALTER TABLE public.orders DROP note; ALTER TABLE public.orders ADD note varchar(40)";
            2],
        fate: Stops(Schema, &["column note", "added anew", "--full-refresh"]),
        undo: ["", ""],
        then: REFRESH,
    },
    Change {
        what: "two columns swap their names",
        mode: "upsert",
        sql: [SWAP; 2],
        fate: Stops(Schema, &["column note", "another column has its name", "--full-refresh"]),
        undo: ["", ""],
        then: REFRESH,
    },
    Change {
        what: "a column is renamed",
        mode: "append",
        sql: ["ALTER TABLE public.orders RENAME note TO remark"; 2],
        fate: Stops(Schema, &["column note", "gone"]),
        undo: ["ALTER TABLE public.orders RENAME remark TO note"; 2],
        then: &[],
    },
    Change {
        what: "a type becomes wider",
        mode: "append",
        sql: ["ALTER TABLE public.orders ALTER note TYPE text"; 2],
        fate: Stops(Schema, &["column note", "was character varying(40) and is text"]),
        undo: ["", ""],
        then: &[
            Step::Target([
                "ALTER TABLE [dbo].[orders] ALTER COLUMN [note] nvarchar(max) NULL;",
                "ALTER TABLE public.orders ALTER note TYPE text",
            ]),
            Step::Adopt,
        ],
    },
    Change {
        what: "a type becomes narrower",
        mode: "append",
        sql: ["ALTER TABLE public.orders ALTER amount TYPE numeric(10,2)"; 2],
        fate: Stops(Schema, &["column amount", "was numeric(18,2) and is numeric(10,2)"]),
        undo: ["", ""],
        then: ADOPT,
    },
    Change {
        what: "a collation is changed",
        mode: "append",
        sql: [r#"ALTER TABLE public.orders ALTER note TYPE varchar(40) COLLATE "C""#; 2],
        fate: Stops(Schema, &["column note", "collate C"]),
        undo: ["", ""],
        then: ADOPT,
    },
    Change {
        what: "NULL is excluded",
        mode: "append",
        sql: ["ALTER TABLE public.orders ALTER amount SET NOT NULL"; 2],
        fate: Stops(Schema, &["column amount", "is numeric(18,2) not null"]),
        undo: ["", ""],
        then: ADOPT,
    },
    Change {
        what: "the cursor may be NULL",
        mode: "append",
        sql: ["ALTER TABLE public.orders ALTER updated_at DROP NOT NULL"; 2],
        fate: Stops(Config, &["updated_at", "NULL"]),
        undo: ["ALTER TABLE public.orders ALTER updated_at SET NOT NULL"; 2],
        then: &[],
    },
    Change {
        what: "the primary key is dropped",
        mode: "append",
        sql: ["ALTER TABLE public.orders DROP CONSTRAINT orders_pkey"; 2],
        fate: Stops(Config, &["(id)", "unique"]),
        undo: ["ALTER TABLE public.orders ADD PRIMARY KEY (id)"; 2],
        then: &[],
    },
    Change {
        what: "the cursor's trigger is dropped",
        mode: "append",
        sql: ["DROP TRIGGER touch ON public.orders"; 2],
        fate: Stops(Config, &["updated_at", "trigger"]),
        undo: [TRIGGER; 2],
        then: &[],
    },
    Change {
        what: "the table is renamed",
        mode: "append",
        sql: ["ALTER TABLE public.orders RENAME TO old"; 2],
        fate: Stops(Schema, &["there is no table public.orders"]),
        undo: ["ALTER TABLE public.old RENAME TO orders"; 2],
        then: &[],
    },
    Change {
        what: "the table is dropped and created anew",
        mode: "append",
        sql: [ANEW; 2],
        fate: Stops(Schema, &["public.orders was dropped and created anew", "run again"]),
        undo: ["", ""],
        then: &[],
    },
    Change {
        what: "the right to read is revoked",
        mode: "append",
        sql: ["REVOKE SELECT ON public.orders FROM {role}"; 2],
        fate: Stops(Permission, &["GRANT SELECT", "note"]),
        undo: ["GRANT SELECT ON public.orders TO {role}"; 2],
        then: &[],
    },
    Change {
        what: "policies hide rows",
        mode: "append",
        sql: ["ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY"; 2],
        fate: Stops(Permission, &["row security", "BYPASSRLS"]),
        undo: ["ALTER TABLE public.orders DISABLE ROW LEVEL SECURITY"; 2],
        then: &[],
    },
];

/// Both columns have one type.
pub(super) const SWAP: &str = "ALTER TABLE public.orders RENAME note TO other;
   ALTER TABLE public.orders RENAME memo TO note; ALTER TABLE public.orders RENAME other TO memo";

const TRIGGER: &str =
    "CREATE TRIGGER touch BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION touch()";

const ANEW: &str = "ALTER TABLE public.orders RENAME TO old;
   CREATE TABLE public.orders (LIKE public.old INCLUDING ALL);
   INSERT INTO public.orders SELECT * FROM public.old; DROP TABLE public.old;
   CREATE TRIGGER touch BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION touch();
   GRANT SELECT ON public.orders TO {role}";
