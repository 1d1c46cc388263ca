"""Code that sources share: reading annotation files into records, and records into items, captions and queries."""
