"""
Use cases: what people and clients come for.
"""
