"""Contact sheets: what a run retrieves for some of its queries, in pictures."""
