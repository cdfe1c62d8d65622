"""
The benchmarks behind ``make bench``: figures beside their gates, each measured
against a yardstick in the same run on the same machine.
"""
