"""The error that every fault of the data raises."""


class DataError(ValueError):
    """Data that cannot be found, read, understood or stored, in one sentence: file, rule, remedy."""
