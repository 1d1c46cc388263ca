"""What is read after training: temperatures, leaderboard, reports."""
