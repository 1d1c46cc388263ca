"""`raytrain data check`: is a table what its table.json says?"""
