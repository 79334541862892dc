UPDATE [#stage] SET [small] = @P1 WHERE [id] = @P2;
