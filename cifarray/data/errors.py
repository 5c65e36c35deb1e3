"""The error that every fault of the data raises."""

from cifarray.errors import UserError


class DataError(UserError):
    """Data that cannot be found, read, understood or stored, in one sentence: file, rule, remedy.

    File names may hold line breaks and bytes that are no text, and a library's reason several lines: what cannot be
    printed is escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(escape(message))


class SplitError(DataError):
    """Numbers of a config that the data cannot fill; the data themselves are well."""


def escape(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
