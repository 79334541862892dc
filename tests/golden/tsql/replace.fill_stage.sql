UPDATE [#stage] SET [c1] = @P1 WHERE [c0] = @P2;
