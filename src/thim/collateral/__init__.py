"""
Records: what is kept of the vendors' documents, and what may replace what.
"""
