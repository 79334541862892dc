SELECT c.sequence, c.position, c.definition, c.rows_total, c.generation, c.phase, c.run_id::text AS run_id, c.lease_until::text AS lease,
       GREATEST((extract(epoch FROM c.lease_until - clock_timestamp()) * 1000)::bigint, 0) AS remaining_ms,
       (SELECT extract(epoch FROM clock_timestamp() - min(s.started_at))::bigint FROM "etl".run AS s
         WHERE s.pipeline = $1 AND s.outcome = 'skipped'
           AND s.started_at > COALESCE((SELECT max(r.finished_at) FROM "etl".run AS r
                WHERE r.pipeline = $1 AND r.outcome NOT IN ('skipped', 'running')), '-infinity')) AS skipped_seconds
  FROM "etl".checkpoint AS c WHERE c.pipeline = $1
