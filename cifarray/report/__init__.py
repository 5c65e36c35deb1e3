"""What people look at: a study while it runs, and what came of it.

Here: `live` (the table on a terminal) with `columns`, `progress` and `table`, `lines` (the same in a pipe), `stages` (a
start), `last_screen` and `leaderboard` (the end), `comparison`, `recipe_table`, `failures`, `sentences`. Not here:
MLflow (`cifarray.tracking`), the pictures of ablations and lesion studies, which are beside what they show.
"""
