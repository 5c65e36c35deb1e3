"""The report of a study as one HTML file: what it found, how sure that is, what it cost. Files in the order of a page.

`told` reads a journal, `answer` … `origins` make one part each, `document` puts them into a file that opens without a
network. Not here: what needs the trained network and its images, which is handed in (`champion`).
"""
