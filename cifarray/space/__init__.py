"""What varies: domains of single fields, the search space, and how large its networks are.

Not here: which point is tried next (`cifarray.study.samplers`).
"""
