"""
The command line: parse arguments, load configuration, wire, run.
"""
