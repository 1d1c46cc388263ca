"""`raytrain export`: a finished run's model in the forms that other programs read."""
