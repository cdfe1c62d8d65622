"""
Simulated vendors that sign for real: for trying thim, and for its tests.
"""
