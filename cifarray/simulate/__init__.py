"""Searches on a virtual clock: the very driver, decisions and schedulers of a study, an epoch a lookup.

For choosing a strategy, and for knowing what a search would take, before any worker is paid for. Not here: what a user
types (`cifarray.cli.simulate_search`).
"""
