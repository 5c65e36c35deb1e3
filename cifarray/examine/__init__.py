"""What is asked of trained networks: the final test, the lesion study. In this process, without Ray.

Not here: training them (`cifarray.engine`).
"""
