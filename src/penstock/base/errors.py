"""Errors that say whose fault they are."""


class PenstockError(Exception):
    """The base of every error that Penstock raises on purpose."""


class ConfigurationError(PenstockError):
    """
    The operator's mistakes, all of them at once.

    Args:
        mistakes: One line each: file, key, value, and what to write instead.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class RemoteError(PenstockError):
    """The remote end broke its protocol; the message is the one line of reason that is logged."""


class AddressError(PenstockError, ValueError):
    """A text that should be an address is none; the message says what would be."""


class StartError(PenstockError):
    """A node could not start: a port in use, a missing privilege. The message is for the operator."""
