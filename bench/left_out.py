"""Why a part of the measurements is not there."""


class LeftOut(Exception):
    """Something that this part needs cannot be had here; the message says what."""
