"""Errors that a user can mend: one sentence with the value, the rule and the remedy.

Every room raises one or a subclass; a job prints the sentence and exits with 2, or 3 for a study that pauses. Not here:
errors of storage (`cifarray.storage`), which are the operating system's.
"""


class UserError(ValueError):
    """The message is one sentence for the user."""


class StudyError(UserError):
    """A study that cannot run as it is; the message is one sentence for the user."""


class PausedError(UserError):
    """A study ends here until somebody has mended something, and then goes on."""
