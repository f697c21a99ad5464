"""The one exception that users are meant to read."""


class BudgetError(ValueError):
    """Something the user can cure: the message names the value, what was expected and the cure."""
