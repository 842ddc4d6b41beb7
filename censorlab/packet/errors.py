"""The one fault that reading bytes off a wire can have."""


class MalformedPacketError(ValueError):
    """The bytes are not what their headers say."""
