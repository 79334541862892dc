//! What is done to the table that is written to: in SQL Server, in Postgres.

use etl_core::Class::{Config, Data, Permission, Schema};

use super::Fate::{Emptied, GoesOn, Stops};
use super::{Change, Step};

const REFRESH: &[Step] = &[Step::Refresh];

const fn harmless(what: &'static str, sql: [&'static str; 2]) -> Change {
    Change { what, mode: "append", sql, fate: GoesOn, undo: ["", ""], then: &[] }
}

pub(super) const CHANGES: &[Change] = &[
    harmless(
        "a column is added",
        [
            "ALTER TABLE [dbo].[orders] ADD [extra] int NULL;",
            "ALTER TABLE public.orders ADD extra int",
        ],
    ),
    harmless(
        "a column with a default is added",
        [
            "ALTER TABLE [dbo].[orders] ADD [extra] int NOT NULL DEFAULT 7;",
            "ALTER TABLE public.orders ADD extra int NOT NULL DEFAULT 7",
        ],
    ),
    harmless(
        "a type becomes wider",
        [
            "ALTER TABLE [dbo].[orders] ALTER COLUMN [amount] decimal(20,2) NULL;",
            "ALTER TABLE public.orders ALTER amount TYPE numeric(20,2)",
        ],
    ),
    harmless(
        "a collation is changed",
        [
            "ALTER TABLE [dbo].[orders] ALTER COLUMN [note] nvarchar(80) COLLATE Latin1_General_CI_AS NULL;",
            r#"ALTER TABLE public.orders ALTER note TYPE varchar(40) COLLATE "C""#,
        ],
    ),
    harmless(
        "NULL is allowed",
        [
            "ALTER TABLE [dbo].[orders] ALTER COLUMN [updated_at] datetimeoffset(6) NULL;",
            "ALTER TABLE public.orders ALTER updated_at DROP NOT NULL",
        ],
    ),
    harmless(
        "a column and an index come and go",
        [
            "ALTER TABLE [dbo].[orders] ADD [extra] int NULL; ALTER TABLE [dbo].[orders] DROP COLUMN [extra];
             CREATE INDEX [x] ON [dbo].[orders] ([amount]);",
            "ALTER TABLE public.orders ADD extra int; ALTER TABLE public.orders DROP extra;
             CREATE INDEX ON public.orders (amount)",
        ],
    ),
    harmless("a trigger is added", ["", TRIGGER]),
    Change {
        fate: Emptied,
        ..harmless(
            "the table is emptied",
            ["TRUNCATE TABLE [dbo].[orders];", "TRUNCATE public.orders"],
        )
    },
    Change {
        fate: Emptied,
        ..harmless("the table is dropped and created anew", [ANEW, ANEW_POSTGRES])
    },
    Change {
        what: "a column that must not be NULL is added",
        mode: "append",
        sql: [
            "ALTER TABLE [dbo].[orders] ADD [extra] int NULL; EXEC(N'UPDATE [dbo].[orders] SET [extra] = 1');
             ALTER TABLE [dbo].[orders] ALTER COLUMN [extra] int NOT NULL;",
            "ALTER TABLE public.orders ADD extra int; UPDATE public.orders SET extra = 1;
             ALTER TABLE public.orders ALTER extra SET NOT NULL",
        ],
        fate: Stops(Schema, &["column extra is NOT NULL without a default", "Nothing was written"]),
        undo: [
            "ALTER TABLE [dbo].[orders] DROP COLUMN [extra];",
            "ALTER TABLE public.orders DROP extra",
        ],
        then: &[],
    },
    Change {
        what: "a column is dropped",
        mode: "upsert",
        sql: [
            "ALTER TABLE [dbo].[orders] DROP COLUMN [note];",
            "ALTER TABLE public.orders DROP note",
        ],
        fate: Stops(Schema, &["column note", "is missing", "Change the table"]),
        undo: [
            "ALTER TABLE [dbo].[orders] ADD [note] nvarchar(80) NULL;",
            "ALTER TABLE public.orders ADD note varchar(40)",
        ],
        then: REFRESH,
    },
    Change {
        what: "a column is renamed",
        mode: "append",
        sql: ["", "ALTER TABLE public.orders RENAME note TO remark"],
        fate: Stops(Schema, &["column note", "is missing"]),
        undo: ["", "ALTER TABLE public.orders RENAME remark TO note"],
        then: &[],
    },
    Change {
        what: "a type becomes narrower",
        mode: "upsert",
        sql: [NARROWER, "ALTER TABLE public.orders ALTER amount TYPE numeric(18,1)"],
        fate: Stops(Schema, &["column amount is", "18,1)", "the stream needs"]),
        undo: [
            "ALTER TABLE [dbo].[orders] ALTER COLUMN [amount] decimal(18,2) NULL;",
            "ALTER TABLE public.orders ALTER amount TYPE numeric(18,2)",
        ],
        then: REFRESH,
    },
    Change {
        what: "a text becomes shorter than one that is to come",
        mode: "append",
        sql: [
            "ALTER TABLE [dbo].[orders] ALTER COLUMN [note] nvarchar(6) NULL;",
            "ALTER TABLE public.orders ALTER note TYPE varchar(6)",
        ],
        fate: Stops(Data, &["column note", "id=10"]),
        undo: [
            "ALTER TABLE [dbo].[orders] ALTER COLUMN [note] nvarchar(80) NULL;",
            "ALTER TABLE public.orders ALTER note TYPE varchar(40)",
        ],
        then: &[],
    },
    Change {
        what: "NULL is excluded where one is to come",
        mode: "append",
        sql: [
            "ALTER TABLE [dbo].[orders] ALTER COLUMN [note] nvarchar(80) NOT NULL;",
            "ALTER TABLE public.orders ALTER note SET NOT NULL",
        ],
        fate: Stops(Data, &["column note", "id=12", "NOT NULL"]),
        undo: [
            "ALTER TABLE [dbo].[orders] ALTER COLUMN [note] nvarchar(80) NULL;",
            "ALTER TABLE public.orders ALTER note DROP NOT NULL",
        ],
        then: &[],
    },
    Change {
        what: "a check is added that a row breaks",
        mode: "append",
        sql: [CHECK, "ALTER TABLE public.orders ADD CONSTRAINT small CHECK (id <> 11)"],
        fate: Stops(Data, &["committing a batch"]),
        undo: [
            "ALTER TABLE [dbo].[orders] DROP CONSTRAINT [small];",
            "ALTER TABLE public.orders DROP CONSTRAINT small",
        ],
        then: &[],
    },
    Change {
        what: "a unique index is added that a row breaks",
        mode: "append",
        sql: [
            "CREATE UNIQUE INDEX [one] ON [dbo].[orders] ([amount]);",
            "CREATE UNIQUE INDEX one ON public.orders (amount)",
        ],
        fate: Stops(Data, &["committing a batch", "unique index"]),
        undo: ["DROP INDEX [one] ON [dbo].[orders];", "DROP INDEX public.one"],
        then: &[],
    },
    Change {
        what: "the key is dropped",
        mode: "upsert",
        sql: [
            "ALTER TABLE [dbo].[orders] DROP CONSTRAINT {key};",
            "ALTER TABLE public.orders DROP CONSTRAINT {key}",
        ],
        fate: Stops(Schema, &["no primary key or unique index", "(id)"]),
        undo: [
            "ALTER TABLE [dbo].[orders] ADD PRIMARY KEY ([id]);",
            "ALTER TABLE public.orders ADD PRIMARY KEY (id)",
        ],
        then: &[],
    },
    Change {
        what: "a crash would empty the table",
        mode: "append",
        sql: ["", "ALTER TABLE public.orders SET UNLOGGED"],
        fate: Stops(Schema, &["UNLOGGED", "SET LOGGED"]),
        undo: ["", "ALTER TABLE public.orders SET LOGGED"],
        then: &[],
    },
    Change {
        what: "the table is dropped",
        mode: "append",
        sql: ["DROP TABLE [dbo].[orders];", "DROP TABLE public.orders"],
        fate: Stops(Config, &["it does not exist", "state reset"]),
        undo: [ANEW, ANEW_POSTGRES],
        then: &[Step::Reset],
    },
    Change {
        what: "the table is renamed",
        mode: "append",
        sql: ["", "ALTER TABLE public.orders RENAME TO old"],
        fate: Stops(Config, &["it does not exist"]),
        undo: ["", "ALTER TABLE public.old RENAME TO orders"],
        then: &[],
    },
    Change {
        what: "the right to insert is revoked",
        mode: "append",
        sql: [
            "REVOKE INSERT ON OBJECT::[dbo].[orders] FROM [{role}];",
            "REVOKE INSERT ON public.orders FROM {role}",
        ],
        fate: Stops(Permission, &["a right is missing", "check"]),
        undo: [
            "GRANT INSERT ON OBJECT::[dbo].[orders] TO [{role}];",
            "GRANT INSERT ON public.orders TO {role}",
        ],
        then: &[],
    },
    Change {
        what: "a trigger is added that refuses a row",
        mode: "append",
        sql: ["", REFUSING],
        fate: Stops(Data, &["a trigger refuses a row"]),
        undo: ["", "DROP TRIGGER refuse ON public.orders"],
        then: &[],
    },
];

/// SQL Server rounds into it without a word, and so does Postgres.
pub(super) const NARROWER: &str =
    "ALTER TABLE [dbo].[orders] ALTER COLUMN [amount] decimal(18,1) NULL;";

pub(super) const CHECK: &str =
    "ALTER TABLE [dbo].[orders] ADD CONSTRAINT [small] CHECK ([id] <> 11);";

const TRIGGER: &str = "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN RETURN NEW; END $$;
 CREATE TRIGGER nothing BEFORE INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION nothing()";

const REFUSING: &str = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN IF NEW.id = 11 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
 CREATE TRIGGER refuse BEFORE INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION refuse()";

const ANEW: &str = "DROP TABLE IF EXISTS [dbo].[orders];
 CREATE TABLE [dbo].[orders] ([id] bigint NOT NULL, [note] nvarchar(80) NULL,
   [amount] decimal(18,2) NULL, [updated_at] datetimeoffset(6) NOT NULL);
 GRANT SELECT, INSERT, UPDATE, DELETE ON OBJECT::[dbo].[orders] TO [{role}];";

const ANEW_POSTGRES: &str = "DROP TABLE IF EXISTS public.orders;
 CREATE TABLE public.orders (id bigint NOT NULL, note varchar(40), amount numeric(18,2),
   updated_at timestamptz NOT NULL);
 GRANT SELECT, INSERT, UPDATE, DELETE ON public.orders TO {role}";
