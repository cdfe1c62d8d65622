"""
The world that ``thim demo`` shows.
"""
