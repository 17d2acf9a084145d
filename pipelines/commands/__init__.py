"""The verbs of the `sverka` command, a group a file."""
