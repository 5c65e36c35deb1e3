"""What a user types: one file for each job, which reads the command line, runs and exits.

Not here: the flags that jobs share (`flags`), what is printed around a study and the exit codes (`running`).
"""
