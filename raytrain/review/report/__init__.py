"""What a report shows of a run, a sweep or an experiment, from journals and evaluation files alone."""
