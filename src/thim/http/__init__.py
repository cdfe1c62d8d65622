"""
The wire: each family of clients on the paths that it knows already.
"""
