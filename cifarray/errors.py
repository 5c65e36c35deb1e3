"""The error that a user can mend: one sentence with the value, the rule and the remedy.

Every room raises it or a subclass of it; a job prints the sentence and exits with 2. Not here: errors of data
(`cifarray.data.errors`) and of storage (`cifarray.storage`), which are no matter of the study.
"""


class StudyError(ValueError):
    """A study that cannot run as it is; the message is one sentence for the user."""
