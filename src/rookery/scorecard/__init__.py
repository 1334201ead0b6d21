"""The social-learning scorecard: how far any agent learns from others, in numbers that others can compare with.

`protocol` has the parts of a protocol, and `social_v1` one: worlds, partners, episodes, seeds and formulas. `agents`
adapts what is scored, and `exported_models` models of other libraries; `episodes` plays it; `condition_episodes` has
what the formulas share; `card` makes the result; `card_page` and `table` show it.
"""
