"""
What thim does for its clients: their settings, printed and checked.
"""
