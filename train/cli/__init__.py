"""Code shared by the commands: flags, one-line errors, printing."""
