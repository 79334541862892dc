UPDATE [#stage] SET [c2] = @P1 WHERE [c0] = @P2 AND [c1] = @P3;
