"""What sources share: annotation files read as records, and the items, captions and queries made of them."""
