"""What a leaderboard says beside its numbers: what counts, what is left out, and what makes a row hard to compare."""
