"""The social-learning scorecard: how far any agent learns from others, in numbers that others can compare with.

`social_v1` is the protocol: worlds, partners, episodes, seeds and formulas. `agents` adapts what is scored, `episodes`
plays it, `measures` has what the formulas share, `card` makes the result, `page` and `table` show it.
"""
