"""The one error that is the user's to mend."""


class InputError(ValueError):
    """Something given cannot be used: the sentence says what was given, what was expected and what to do."""
