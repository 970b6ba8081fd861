"""Recorded runs and what follows from them: tables, statistics, checks and figures.

`records` reads and writes runs, `statistics` compares them, `consistency` looks for numbers that
contradict each other, `figures` draws. Nothing here loads torch, so a report needs no training.
"""
