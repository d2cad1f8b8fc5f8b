"""What goes wrong by no fault of the program."""


class UserError(Exception):
    """The message says what is wrong, where, and what to write instead."""
