"""The HTML pages of the leaderboard and of reports: one design, one file each, nothing else needed."""
