"""What notebooks, other code and the verbs of the command line call; public names are those of `raytrain` itself.

Nothing here prints. Each function raises the errors of its verb, returns a dataclass, and tells its progress to a
callback.
"""
