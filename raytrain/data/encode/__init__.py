"""`raytrain data encode`: adds the features of a frozen backbone to a table."""
