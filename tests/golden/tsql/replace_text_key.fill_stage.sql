UPDATE [#stage] SET [updated_at] = @P1 WHERE [k.e y] = @P2 AND [id] = @P3;
