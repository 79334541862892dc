-- The source: a shop's orders in all states, and a role that may read them and no more. Run once, on
-- an empty data folder.
\set ON_ERROR_STOP on
-- The password out of postgres://etl_reader:PASSWORD@...: one file says it to both sides.
\set reader_password `sed -E 's|^[a-z]+://etl_reader:([^@]*)@.*$|\1|' /run/etl/reader-url`

BEGIN;

CREATE TABLE public.orders (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer   varchar(100)  NOT NULL,
  status     varchar(20)   NOT NULL CHECK (status IN ('pending', 'confirmed', 'shipped', 'cancelled', 'refunded')),
  amount     numeric(18,2) NOT NULL CHECK (amount >= 0),
  note       varchar(500),
  updated_at timestamptz   NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.orders IS 'Read by etl-job: rows are marked cancelled, never deleted';

-- Ten days of the past. From here on the database alone sets the time.
INSERT INTO public.orders (customer, status, amount, note, updated_at)
SELECT (ARRAY['Ana', 'José', 'Zoë', 'O''Brien', '伟'])[1 + g % 5] || ' #' || g % 700,
       (ARRAY['pending', 'confirmed', 'shipped', 'cancelled', 'refunded'])[1 + (g * 7 / 3) % 5],
       round(((g * 7919) % 500000)::numeric / 100, 2),
       CASE g % 4 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'order ' || md5(g::text) END,
       now() - (5001 - g) * interval '173 seconds'
  FROM generate_series(1, 5000) AS g;

CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER orders_touch BEFORE UPDATE ON public.orders
  FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE INDEX orders_updated_at_id ON public.orders (updated_at, id);

REVOKE ALL ON DATABASE shop FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE ROLE etl_reader LOGIN PASSWORD :'reader_password' CONNECTION LIMIT 10;
GRANT CONNECT ON DATABASE shop TO etl_reader;
GRANT USAGE ON SCHEMA public TO etl_reader;
GRANT SELECT ON public.orders TO etl_reader;
GRANT pg_read_all_stats TO etl_reader;  -- to see when open transactions began

-- Who orders, over the socket only: without a password nobody comes in over the network.
CREATE ROLE shop_app LOGIN CONNECTION LIMIT 2;
GRANT CONNECT ON DATABASE shop TO shop_app;
GRANT USAGE ON SCHEMA public TO shop_app;
GRANT SELECT, INSERT, UPDATE ON public.orders TO shop_app;

COMMIT;
ANALYZE public.orders;
