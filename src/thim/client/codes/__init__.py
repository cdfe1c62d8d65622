"""
The error codes that clients show, as data: one module for each library.
"""
