"""The error that every fault of the data raises."""

from cifarray.errors import UserError


class DataError(UserError):
    """Data that cannot be found, read, understood or stored, in one sentence: file, rule, remedy."""
