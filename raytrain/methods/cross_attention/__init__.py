"""Methods that compare local features of both sides pair by pair. Import each from its module."""
