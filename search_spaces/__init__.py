"""What varies: one file per search, data only."""
