"""What stock tools cannot do."""


class NeedsEngineError(ValueError):
    """Stock tools cannot express a rule or a line; the message says which and why."""
