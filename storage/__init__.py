"""What survives a crash: job database and spool."""
