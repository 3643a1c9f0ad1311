"""Finds what is wrong with a machine or a gateway before its user has to.

`machine` and `gateway` collect facts, and `rules` judges them without looking at anything else.
"""
