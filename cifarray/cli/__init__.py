"""What a user types: one file for each job, which reads the command line, runs and exits.

Not here: the flags that jobs share (`flags`), what is printed around a study and the exit codes (`running`).
"""

from cifarray.engine.signals import end_imports_in_a_word

# Before anything that takes a moment is imported.
end_imports_in_a_word()
