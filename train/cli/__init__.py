"""What commands share: flags, errors as one line, printing."""
