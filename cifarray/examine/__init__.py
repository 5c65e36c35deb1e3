"""What is asked of trained networks: the final test, the lesion study, a file for other tools. In this process, no Ray.

Not here: training them (`cifarray.engine`).
"""
