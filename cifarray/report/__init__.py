"""What people look at: the leaderboard (`leaderboard`) and the study while it runs (`live`)."""
