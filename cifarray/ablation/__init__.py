"""Ablations: which rows there are, what their trials say, as a table and as a picture.

Not here: running the trials (`cifarray.engine`), the flags (`cifarray.cli.ablate`).
"""
