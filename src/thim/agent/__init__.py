"""
The agent beside guests: it answers as Azure's metadata service does, from a
cache of its own.
"""
